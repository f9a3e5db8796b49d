variable "project_id" {
  description = "Project whose network gets the endpoint."
  type        = string
}

variable "name" {
  description = "Name of the instance, as payflow-staging."
  type        = string
}

variable "region" {
  description = "Region of the instance."
  type        = string
}

variable "network_id" {
  description = "VPC that gets the endpoint; its service connection policy must exist."
  type        = string
}

variable "node_type" {
  description = "Size of a node. SHARED_CORE_NANO has no service level agreement."
  type        = string
  validation {
    condition     = contains(["SHARED_CORE_NANO", "STANDARD_SMALL", "HIGHMEM_MEDIUM", "HIGHMEM_XLARGE"], var.node_type)
    error_message = "node_type must be SHARED_CORE_NANO, STANDARD_SMALL, HIGHMEM_MEDIUM or HIGHMEM_XLARGE."
  }
}

variable "replicas" {
  description = "Copies in other zones that take over by themselves. 0 is enough where a lost cache only costs a moment: PayFlow works without it."
  type        = number
  validation {
    condition     = var.replicas >= 0 && var.replicas <= 5
    error_message = "replicas must be 0 to 5."
  }
}

variable "deletion_protection" {
  description = "Whether the API refuses to delete the instance."
  type        = bool
}

variable "labels" {
  description = "Labels of everything that can carry them."
  type        = map(string)
}
