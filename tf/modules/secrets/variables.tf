variable "name" {
  description = "Prefix of every secret's name, as payflow-staging."
  type        = string
}

variable "region" {
  description = "Region that keeps the values."
  type        = string
}

variable "files" {
  description = "Files that containers mount, by name: the content, and the members that may read it. Not for secrets: what is passed here is known to whoever plans."
  type = map(object({
    content = string
    readers = set(string)
  }))
  default = {}
}

variable "secrets" {
  description = "Secrets whose value is added from outside, by name: the members that may read it."
  type = map(object({
    readers = set(string)
  }))
  default = {}
  validation {
    condition = alltrue(flatten([for secret in values(var.secrets) : [
      for member in secret.readers : can(regex("^(serviceAccount|user|group):[^@]+@[^@]+$", member))
    ]]))
    error_message = "Readers are accounts, people or groups: serviceAccount:…, user:…, group:…."
  }
  validation {
    condition     = length(setintersection(keys(var.secrets), keys(var.files))) == 0
    error_message = "A name is a file or a secret, not both."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the secrets."
  type        = bool
}

variable "labels" {
  description = "Labels of everything that can carry them."
  type        = map(string)
}
