variable "project_id" {
  description = "Google Cloud project of this environment; the only variable that terraform.tfvars does not hold."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "A project's id has 6 to 30 small letters, digits and hyphens and begins with a letter."
  }
}

variable "environment" {
  description = "Which one this is."
  type        = string
  validation {
    condition     = contains(["development", "staging", "production"], var.environment)
    error_message = "environment is development, staging or production."
  }
}

variable "region" {
  description = "Region of everything that is not global."
  type        = string
  default     = "europe-west1"
}

variable "cost_center" {
  description = "Label by which the bill is split."
  type        = string
  default     = "payments"
  validation {
    condition     = can(regex("^[a-z][a-z0-9_-]{0,62}$", var.cost_center))
    error_message = "cost_center must be fit for a label: small letters, digits, - and _."
  }
}

variable "registry_project_id" {
  description = "Project of the registry, where it is another one."
  type        = string
  default     = null
}

variable "image" {
  description = "First image, by digest; without one, the tag `first` in the registry. Later ones are the pipeline's."
  type        = string
  default     = null
}

variable "domain" {
  description = "The name that clients use, as api.example.com. Without one (development only) the run.app address is public."
  type        = string
  default     = null
  validation {
    condition     = var.domain != null || var.environment == "development"
    error_message = "Outside development the service is reached through the load balancer, which needs a domain."
  }
}

variable "dns_zone" {
  description = "Domain whose public zone is made here; none: the A record is made elsewhere."
  type        = string
  default     = null
}

variable "requests_a_minute" {
  description = "Requests a minute that one client address may make at the edge."
  type        = number
  default     = 6000
}

variable "network" {
  description = "Ranges of the two subnets, and addresses in the internet that the service may call."
  type = object({
    public_cidr  = string
    private_cidr = string
    egress_cidrs = optional(list(string), [])
  })
}

variable "database" {
  description = "Size and safety of PostgreSQL; see modules/database."
  type = object({
    tier             = string
    highly_available = bool
    max_connections  = number
    disk_limit_gb    = number
    backups_kept     = number
  })
}

variable "cache" {
  description = "Size of Valkey; see modules/cache."
  type = object({
    node_type = string
    replicas  = number
  })
}

variable "service" {
  description = "Size of the service; see modules/service."
  type = object({
    cpu         = optional(number, 1)
    memory_mb   = optional(number, 512)
    concurrency = optional(number, 128)
    instances   = object({ min = number, max = number })
    pool        = optional(object({ writers = number, readers = number }), { writers = 2, readers = 4 })
    rate_limit  = optional(number, 0)
    log_level   = optional(string, "info")
    schedules   = optional(map(string), { prune = "17 2 * * *", verify = "47 3 * * *", smoke = "*/30 * * * *" })
  })
}

variable "deletion_protection" {
  description = "Whether Terraform and the APIs refuse to delete what holds data or serves."
  type        = bool
}

variable "notification_emails" {
  description = "Who gets every alert and the budget's notices."
  type        = set(string)
}

variable "critical_channels" {
  description = "Ids of notification channels that wake somebody, for critical alerts; made by hand, because a pager's token is a secret."
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
}

variable "billing_account" {
  description = "Billing account for a budget; none: no budget."
  type        = string
  default     = null
}

variable "project_number" {
  description = "The project's number, for the budget."
  type        = string
  default     = null
}

variable "budget_amount" {
  description = "The month's budget in whole units of the billing account's currency."
  type        = number
  default     = 100
}
