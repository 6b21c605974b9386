variable "name" {
  description = "What the environment, the identity and the log are named after, and what the names of the jobs begin with: at most 17 characters."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,16}$", var.name))
    error_message = "The name must be of at most 17 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "resource_group" {
  description = "Name of the resource group, which must exist."
  type        = string
}

variable "location" {
  description = "Region of the jobs: the store's."
  type        = string
}

variable "store_url" {
  description = "The store, as the output store_url of the store's module has it."
  type        = string
}

variable "image" {
  description = "An image whose entry point is the command ropewalk, for x86-64."
  type        = string
}

variable "registry" {
  description = "The server of the image's registry, if the identity of the jobs is to pull from it: give the identity AcrPull there."
  type        = string
  default     = ""
}

variable "schedules" {
  description = "When a job runs, if not as by default: five fields of cron in UTC, always (relay alone), or off. Set gc to off before heads are restored."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for job, when in var.schedules : can(regex("^(relay|gc|verify|verify-headers|verify-feed)$", job)) && can(regex("^(off|\\S+( \\S+){4})$", job == "relay" && when == "always" ? "off" : when))])
    error_message = "The jobs are relay, gc, verify, verify-headers and verify-feed; each is off or five fields of cron, and relay may be always."
  }
}

variable "log_days" {
  description = "For how many days the output of the jobs is kept."
  type        = number
  default     = 90
}

variable "tags" {
  description = "Tags of all that is created."
  type        = map(string)
  default     = {}
}
