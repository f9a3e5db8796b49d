variable "name" {
  description = "Prefix of every name, as payflow-staging."
  type        = string
}

variable "region" {
  description = "Region of the service."
  type        = string
}

variable "service" {
  description = "Name of the Cloud Run service."
  type        = string
}

variable "domain" {
  description = "The name that clients use, as api.example.com; the managed certificate is made for it."
  type        = string
  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain must be a full name in small letters, as api.example.com."
  }
}

variable "dns_zone" {
  description = "Domain whose zone is made here, as example.com; none: the A record is made elsewhere."
  type        = string
  default     = null
  validation {
    condition     = var.dns_zone == null ? true : var.domain == var.dns_zone || endswith(var.domain, ".${var.dns_zone}")
    error_message = "domain must lie in dns_zone."
  }
}

variable "requests_a_minute" {
  description = "Requests a minute that one client address may make."
  type        = number
  default     = 6000
  validation {
    condition     = var.requests_a_minute >= 60 && var.requests_a_minute <= 100000
    error_message = "requests_a_minute is 60 to 100000."
  }
}

variable "waf_preview" {
  description = "OWASP rule sets that only log: for finding false alarms before they hurt."
  type        = set(string)
  default     = []
  validation {
    condition     = length(setsubtract(var.waf_preview, concat(local.owasp, ["cve-canary"]))) == 0
    error_message = "waf_preview names a rule set that is not in use."
  }
}

variable "log_sample_rate" {
  description = "Share of requests in the load balancer's own log. PayFlow logs every request itself."
  type        = number
  default     = 1
  validation {
    condition     = var.log_sample_rate >= 0 && var.log_sample_rate <= 1
    error_message = "log_sample_rate is 0 to 1."
  }
}

variable "labels" {
  description = "Labels of everything that can carry them."
  type        = map(string)
}
