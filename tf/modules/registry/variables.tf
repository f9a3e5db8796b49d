variable "project_id" {
  description = "Project of the repository, part of its address."
  type        = string
}

variable "region" {
  description = "Region of the repository and of the keys."
  type        = string
}

variable "writer" {
  description = "Member that pushes and signs images: serviceAccount:…."
  type        = string
}

variable "reader_project_numbers" {
  description = "Numbers of other projects whose Cloud Run pulls images from here, where production has a project of its own."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for number in var.reader_project_numbers : can(regex("^[0-9]+$", number))])
    error_message = "reader_project_numbers are numbers, not ids."
  }
}

variable "secret_editors" {
  description = "Members that encrypt and decrypt the repository's SOPS files."
  type        = set(string)
  default     = []
}

variable "labels" {
  description = "Labels of everything that can carry them."
  type        = map(string)
}
