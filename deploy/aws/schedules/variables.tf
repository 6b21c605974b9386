variable "name" {
  description = "What the cluster, the roles, the schedules and the logs are named after."
  type        = string
}

variable "store_url" {
  description = "The store, as the output store_url of the store's module has it."
  type        = string
}

variable "image" {
  description = "An image whose entry point is the command ropewalk, for architecture."
  type        = string
}

variable "architecture" {
  description = "What the image was built for: ARM64 or X86_64."
  type        = string
  default     = "ARM64"
}

variable "relay_policy_arn" {
  description = "The output relay_policy_arn of the store's module."
  type        = string
}

variable "maintainer_policy_arn" {
  description = "The output maintainer_policy_arn of the store's module."
  type        = string
}

variable "subnets" {
  description = "Subnets with a way to S3, DynamoDB and the registry of the image."
  type        = list(string)
}

variable "security_groups" {
  description = "Security groups that let HTTPS out."
  type        = list(string)
  default     = []
}

variable "public_ip" {
  description = "Whether the tasks have public addresses, as they need in subnets without a NAT gateway or endpoints."
  type        = bool
  default     = false
}

variable "schedules" {
  description = "When a job runs, if not as by default: a schedule expression of EventBridge, always (relay alone), or off. Set gc to off before heads are restored."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for job, when in var.schedules : can(regex("^(relay|gc|verify|verify-headers|verify-feed)$", job)) && can(regex("^(off|(rate|cron)\\(.+\\))$", job == "relay" && when == "always" ? "off" : when))])
    error_message = "The jobs are relay, gc, verify, verify-headers and verify-feed; each is off, rate(…) or cron(…), and relay may be always."
  }
}

variable "alarm_topic_arn" {
  description = "An SNS topic that hears of each run that has failed. Its policy must let events.amazonaws.com publish."
  type        = string
  default     = ""
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
