variable "project_id" {
  description = "Project that is watched."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "A project's id has 6 to 30 small letters, digits and hyphens and begins with a letter."
  }
}

variable "region" {
  description = "Region in which logs are kept."
  type        = string
}

variable "environment" {
  description = "development, staging or production."
  type        = string
  validation {
    condition     = contains(["development", "staging", "production"], var.environment)
    error_message = "environment is development, staging or production."
  }
}

variable "service_name" {
  description = "Name of the Cloud Run service, as payflow-staging; its metrics carry it as their namespace."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,47}[a-z0-9]$", var.service_name))
    error_message = "service_name has 2 to 49 small letters, digits and hyphens and begins with a letter."
  }
}

variable "database_instance" {
  description = "Name of the Cloud SQL instance; none: the service's."
  type        = string
  default     = null
}

variable "notification_emails" {
  description = "Who gets every alert and the budget's notices."
  type        = set(string)
  validation {
    condition     = length(var.notification_emails) > 0 && alltrue([for address in var.notification_emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", address))])
    error_message = "notification_emails needs one e-mail address at least."
  }
}

variable "critical_channels" {
  description = "Ids of notification channels that wake somebody, for critical alerts only. Made by hand: a pager's token is a secret."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for id in var.critical_channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", id))])
    error_message = "critical_channels are ids: projects/PROJECT/notificationChannels/NUMBER."
  }
}

variable "uptime_host" {
  description = "Host whose /health Google asks from outside, as api.example.com; none: no uptime check, and no alerts on it and on the certificate."
  type        = string
  default     = null
  validation {
    condition     = var.uptime_host == null ? true : can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.uptime_host))
    error_message = "uptime_host must be a full name in small letters, as api.example.com."
  }
}

variable "alerts_dir" {
  description = "Path of the repository's alerts/; runbooks/ and dashboards/ lie beside it."
  type        = string
  validation {
    condition     = length(fileset(var.alerts_dir, "*.yml")) > 0
    error_message = "alerts_dir holds no *.yml: no alert would be made."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  validation {
    condition     = var.log_retention_days >= 1 && var.log_retention_days <= 3650 && floor(var.log_retention_days) == var.log_retention_days
    error_message = "log_retention_days must be a whole number from 1 to 3650."
  }
  validation {
    condition     = var.environment != "production" || var.log_retention_days >= 90
    error_message = "Production keeps logs for 90 days or more."
  }
}

variable "billing_account" {
  description = "Billing account of the project, for a budget; none: no budget. Whoever runs this code needs roles/billing.costsManager on it."
  type        = string
  default     = null
  validation {
    condition     = var.billing_account == null ? true : can(regex("^[0-9A-F]{6}(-[0-9A-F]{6}){2}$", var.billing_account))
    error_message = "billing_account looks like 012345-6789AB-CDEF01."
  }
}

variable "project_number" {
  description = "The project's number, to which the budget is limited; none: it counts whatever carries the environment's label in the billing account."
  type        = string
  default     = null
  validation {
    condition     = var.project_number == null ? true : can(regex("^[0-9]+$", var.project_number))
    error_message = "project_number is a number, not an id."
  }
}

variable "budget_amount" {
  description = "The month's budget in whole units of the billing account's currency."
  type        = number
  default     = 100
  validation {
    condition     = var.budget_amount > 0 && floor(var.budget_amount) == var.budget_amount
    error_message = "budget_amount must be a whole number above 0."
  }
}

variable "labels" {
  description = "Labels of everything that can carry them."
  type        = map(string)
}
