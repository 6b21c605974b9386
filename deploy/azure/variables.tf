variable "account" {
  description = "Name of the storage account."
  type        = string
}

variable "resource_group" {
  description = "Name of the resource group, which must exist."
  type        = string
}

variable "location" {
  description = "Region of the account."
  type        = string
}

variable "replication" {
  description = "Redundancy of the account: LRS, ZRS, GRS or GZRS. The others offer a secondary endpoint, whose heads are stale."
  type        = string
  default     = "ZRS"

  validation {
    condition     = contains(["LRS", "ZRS", "GRS", "GZRS"], var.replication)
    error_message = "The redundancy must be LRS, ZRS, GRS or GZRS."
  }
}

variable "changesets" {
  description = "Name of the container of the changesets."
  type        = string
  default     = "changesets"
}

variable "heads" {
  description = "Name of the container of the heads."
  type        = string
  default     = "aggregates"
}

variable "prefix" {
  description = "What the names of all blobs begin with: empty, or parts that each end in a slash."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([A-Za-z0-9_-]+/)*$", var.prefix))
    error_message = "The prefix must be empty, or parts of letters, digits, _ and - that each end in a slash."
  }
}

variable "packed" {
  description = "Whether the URL of the store makes writers begin packed chains."
  type        = bool
  default     = false
}

variable "soft_delete_days" {
  description = "For how many days deleted blobs and containers, and heads that were replaced, can be restored. Erased contents are kept for as long."
  type        = number
  default     = 7

  validation {
    condition     = var.soft_delete_days >= 1 && var.soft_delete_days <= 365
    error_message = "Soft delete keeps blobs for 1 to 365 days. Without it a deleted head of a packed chain is lost, and its newest changesets with it."
  }
}

variable "cool_after_days" {
  description = "After how many days changesets move to the cool tier."
  type        = number
  default     = 90
}

variable "cold_after_days" {
  description = "After how many days changesets move to the cold tier."
  type        = number
  default     = 365
}

variable "shared_keys" {
  description = "Whether the account's keys work beside identities. Roles do not bind those who have a key."
  type        = bool
  default     = false
}

variable "writers" {
  description = "Identities that append, settle and read: object IDs by names of your choice."
  type        = map(string)
  default     = {}
}

variable "readers" {
  description = "Identities that read: object IDs by names of your choice."
  type        = map(string)
  default     = {}
}

variable "maintainers" {
  description = "Identities that check, list, verify and delete orphans: object IDs by names of your choice."
  type        = map(string)
  default     = {}
}

variable "tags" {
  description = "Tags of the account."
  type        = map(string)
  default     = {}
}
