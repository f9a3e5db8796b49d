variable "project_id" {
  description = "Project of the accounts."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "A project's id has 6 to 30 small letters, digits and hyphens and begins with a letter."
  }
}

variable "region" {
  description = "Region of the environments' data services."
  type        = string
}

variable "environments" {
  description = "The environments that live in this project."
  type        = set(string)
  validation {
    condition     = length(var.environments) > 0 && length(setsubtract(var.environments, ["development", "staging", "production"])) == 0
    error_message = "environments are development, staging and production."
  }
}

variable "administrators" {
  description = "Who may act as a deploying account, for the first apply and for repairs: user:… or group:…."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for member in var.administrators : can(regex("^(user|group):[^@]+@[^@]+$", member))])
    error_message = "administrators are people or groups: user:name@example.com, group:name@example.com."
  }
}

variable "circleci" {
  description = "Whom the pipeline's tokens must come from: CircleCI's ids of the organisation, of the project, and of the context that only production's jobs have; the branch that is deployed."
  type = object({
    organization_id       = string
    project_id            = string
    production_context_id = string
    branch                = optional(string, "main")
  })
  validation {
    condition = alltrue([
      for id in [var.circleci.organization_id, var.circleci.project_id, var.circleci.production_context_id] :
      can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", id))
    ])
    error_message = "CircleCI's ids are UUIDs, in small letters."
  }
  validation {
    condition     = can(regex("^[A-Za-z0-9._/-]+$", var.circleci.branch))
    error_message = "branch must be a branch's name."
  }
}
