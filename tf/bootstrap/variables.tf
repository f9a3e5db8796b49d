variable "project_id" {
  description = "The project, empty or not."
  type        = string
}

variable "region" {
  description = "Region of the state, the registry and the keys; the environments' too."
  type        = string
  default     = "europe-west1"
}

variable "environments" {
  description = "The environments that live in this project. All three may; production may as well have a project of its own."
  type        = set(string)
  default     = ["development", "staging", "production"]
}

variable "administrators" {
  description = "Who may act as a deploying account and edit the SOPS files: user:… or group:…."
  type        = set(string)
  default     = []
}

variable "circleci" {
  description = "CircleCI's ids of the organisation, of the project, and of the context that only production's jobs have; the branch that is deployed."
  type = object({
    organization_id       = string
    project_id            = string
    production_context_id = string
    branch                = optional(string, "main")
  })
}

variable "reader_project_numbers" {
  description = "Numbers of other projects whose Cloud Run pulls images from this registry."
  type        = set(string)
  default     = []
}

variable "cost_center" {
  description = "Label by which the bill is split."
  type        = string
  default     = "payments"
}
