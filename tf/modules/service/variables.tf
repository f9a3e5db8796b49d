variable "project_id" {
  description = "Project of the service."
  type        = string
}

variable "name" {
  description = "Name of the service and prefix of its jobs, as payflow-staging."
  type        = string
}

variable "environment" {
  description = "PAYFLOW_ENV: production refuses to start with what is unsafe."
  type        = string
  validation {
    condition     = contains(["development", "staging", "production"], var.environment)
    error_message = "environment is development, staging or production."
  }
}

variable "region" {
  description = "Region of the service, its jobs and their schedules."
  type        = string
}

variable "image" {
  description = "First image, REGISTRY/NAME@sha256:… or REGISTRY/NAME:TAG. Later ones come from the pipeline; a change here changes nothing."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9.-]+(/[a-z0-9._-]+)+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9._-]*)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "image needs a digest, or a tag that is not latest."
  }
}

variable "accounts" {
  description = "E-mail addresses of the service accounts: serve, migrate and smoke run, schedule starts the jobs."
  type = object({
    serve    = string
    migrate  = string
    smoke    = string
    schedule = string
  })
}

variable "network" {
  description = "The VPC's id, and that of the subnet for Cloud Run's interfaces."
  type = object({
    id        = string
    subnet_id = string
  })
}

variable "database" {
  description = "Where PostgreSQL is, its users by role, what it accepts, and the id of the secret with its authority."
  type = object({
    host            = string
    database        = string
    users           = map(string)
    max_connections = number
    ca_secret       = string
  })
}

variable "cache" {
  description = "Where Valkey is, and the id of the secret with its authorities."
  type = object({
    url       = string
    ca_secret = string
  })
}

variable "smoke_key_secret" {
  description = "Id of the secret with the test API key that the smoke job uses."
  type        = string
}

variable "monitoring_secret" {
  description = "Id of the secret with the Prometheus sidecar's settings, monitoring.yaml of this module."
  type        = string
}

variable "public_directly" {
  description = "Whether the run.app address answers the internet. Otherwise only the load balancer and this network reach the service."
  type        = bool
  validation {
    condition     = !var.public_directly || var.environment == "development"
    error_message = "Outside development the internet comes through the load balancer, where TLS, limits and filters are."
  }
}

variable "cpu" {
  description = "CPUs of an instance."
  type        = number
  default     = 1
  validation {
    condition     = contains([1, 2, 4], var.cpu)
    error_message = "cpu is 1, 2 or 4: more instances are better than larger ones."
  }
}

variable "memory_mb" {
  description = "Memory of an instance, MiB."
  type        = number
  default     = 512
  validation {
    condition     = var.memory_mb >= 512 && var.memory_mb <= 4096
    error_message = "memory_mb is 512 to 4096."
  }
}

variable "concurrency" {
  description = "Requests that an instance handles at once: Cloud Run's limit and PayFlow's MAX_CONCURRENCY are this one number."
  type        = number
  default     = 128
  validation {
    condition     = var.concurrency >= 8 && var.concurrency <= 1000
    error_message = "concurrency is 8 to 1000."
  }
}

variable "instances" {
  description = "Least and most instances. Cloud Run adds some when CPU passes 60 % or concurrency its limit; min 0 scales to nothing."
  type = object({
    min = number
    max = number
  })
  validation {
    condition     = var.instances.min >= 0 && var.instances.max >= max(var.instances.min, 1) && var.instances.max <= 100
    error_message = "instances: 0 <= min <= max <= 100, and max at least 1."
  }
  validation {
    condition     = var.environment != "production" || var.instances.min >= 2
    error_message = "production keeps two instances or more: one may always fail."
  }
}

variable "pool" {
  description = "Database connections of an instance: writers commit batches, readers read. PayFlow opens one more for rows in quarantine."
  type = object({
    writers = number
    readers = number
  })
  default = { writers = 2, readers = 4 }
  validation {
    condition     = var.pool.writers >= 1 && var.pool.writers <= 16 && var.pool.readers >= 1 && var.pool.readers <= 64
    error_message = "pool: writers 1 to 16, readers 1 to 64."
  }
  validation {
    # A rollout runs two revisions, each of which may grow to the most instances; the jobs may all run at once; PostgreSQL
    # keeps 3 for superusers, and Cloud SQL uses some for itself.
    condition = (
      (var.pool.writers + var.pool.readers + 1) * var.instances.max * 2 + local.job_connections <= var.database.max_connections - local.reserved_connections
    )
    error_message = "Too many connections: (writers + readers + 1) x most instances x 2 revisions + the jobs' must stay below the database's max_connections less 10."
  }
}

variable "rate_limit" {
  description = "Requests a minute of one account (0: no limit)."
  type        = number
  default     = 0
  validation {
    condition     = var.rate_limit >= 0
    error_message = "rate_limit is 0 or more."
  }
}

variable "log_level" {
  description = "Lowest level that is logged."
  type        = string
  default     = "info"
  validation {
    condition     = contains(["debug", "info", "warning", "error"], var.log_level)
    error_message = "log_level is debug, info, warning or error."
  }
}

variable "schedules" {
  description = "When the jobs run, as cron in UTC; a job without a line runs only when asked. migrate is the pipeline's."
  type        = map(string)
  default     = { prune = "17 2 * * *", verify = "47 3 * * *", smoke = "*/30 * * * *" }
  validation {
    condition     = length(setsubtract(keys(var.schedules), ["prune", "verify", "smoke"])) == 0
    error_message = "Only prune, verify and smoke are scheduled."
  }
  validation {
    condition     = alltrue([for cron in values(var.schedules) : length(split(" ", cron)) == 5])
    error_message = "A schedule has five fields, as in \"17 2 * * *\"."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the service and its jobs."
  type        = bool
}

variable "labels" {
  description = "Labels of everything that can carry them."
  type        = map(string)
}
