variable "project_id" {
  description = "Project of the instance, the only one that may connect to it."
  type        = string
}

variable "name" {
  description = "Name of the instance and prefix of the rest, as payflow-staging."
  type        = string
}

variable "region" {
  description = "Region of the instance."
  type        = string
}

variable "network_id" {
  description = "VPC that gets the instance's private DNS name."
  type        = string
}

variable "subnet_id" {
  description = "Private subnet that gets the instance's endpoint."
  type        = string
}

variable "users" {
  description = "E-mail addresses of the service accounts: serve (reads and writes rows), migrate (owns the schema), deploy (runs this code, makes the roles)."
  type = object({
    serve   = string
    migrate = string
    deploy  = string
  })
  validation {
    condition     = alltrue([for email in values(var.users) : endswith(email, ".iam.gserviceaccount.com")])
    error_message = "Database users are service accounts: NAME@PROJECT.iam.gserviceaccount.com."
  }
}

variable "tier" {
  description = "Machine: db-f1-micro and db-g1-small share a core, db-custom-CPUS-MEGABYTES does not."
  type        = string
  validation {
    condition     = can(regex("^db-(f1-micro|g1-small|custom-[0-9]+-[0-9]+)$", var.tier))
    error_message = "tier must be db-f1-micro, db-g1-small or db-custom-CPUS-MEGABYTES (edition ENTERPRISE)."
  }
}

variable "highly_available" {
  description = "Whether a standby in another zone takes over by itself."
  type        = bool
}

variable "max_connections" {
  description = "PostgreSQL's max_connections. The service module checks that all instances together stay below it."
  type        = number
  validation {
    condition     = var.max_connections >= 25 && var.max_connections <= 1000
    error_message = "max_connections must be 25 to 1000."
  }
}

variable "disk_limit_gb" {
  description = "Size to which the disk may grow by itself."
  type        = number
  validation {
    condition     = var.disk_limit_gb >= 10
    error_message = "disk_limit_gb must be 10 or more; 0 would mean no limit."
  }
}

variable "backups_kept" {
  description = "Number of daily backups kept. Point-in-time recovery reaches back 7 days, or as many as there are backups."
  type        = number
  validation {
    condition     = var.backups_kept >= 2 && var.backups_kept <= 365
    error_message = "backups_kept must be 2 to 365."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform and the API refuse to delete the instance."
  type        = bool
}

variable "labels" {
  description = "Labels of everything that can carry them."
  type        = map(string)
}
