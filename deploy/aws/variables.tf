variable "bucket" {
  description = "Name of the bucket of the changesets."
  type        = string
}

variable "table" {
  description = "Name of the table of the heads."
  type        = string
}

variable "prefix" {
  description = "What all names in bucket and table begin with: empty, or parts that each end in a slash."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([A-Za-z0-9_-]+/)*$", var.prefix))
    error_message = "The prefix must be empty, or parts of letters, digits, _ and - that each end in a slash."
  }
}

variable "versioning" {
  description = "Whether the bucket keeps what is deleted. Nothing in it is ever overwritten."
  type        = bool
  default     = false
}

variable "packed" {
  description = "Whether the URL of the store makes writers begin packed chains."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Whether the table is protected from being deleted. With packed chains it holds contents that are in no object."
  type        = bool
  default     = true
}

variable "transitions" {
  description = "When changesets move to colder storage classes, of those that can be read at once. S3 leaves objects below 128 KB where they are."
  type = list(object({
    days          = number
    storage_class = string
  }))
  default = [
    { days = 90, storage_class = "STANDARD_IA" },
    { days = 365, storage_class = "GLACIER_IR" },
  ]

  validation {
    condition     = alltrue([for t in var.transitions : contains(["STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR"], t.storage_class)])
    error_message = "Changesets must stay readable: only STANDARD_IA, INTELLIGENT_TIERING and GLACIER_IR."
  }
}

variable "tags" {
  description = "Tags of the bucket, the table and the policies."
  type        = map(string)
  default     = {}
}
