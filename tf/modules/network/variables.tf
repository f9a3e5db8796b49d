variable "name" {
  description = "Prefix of every name, as payflow-staging."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,28}[a-z0-9]$", var.name))
    error_message = "A name has 3 to 30 small letters, digits and hyphens and begins with a letter."
  }
}

variable "region" {
  description = "Region of the subnets, the router and the NAT gateway."
  type        = string
}

variable "public_cidr" {
  description = "Range of the public subnet: Cloud Run's interfaces. Its machines may reach the internet through NAT, where egress_cidrs says so."
  type        = string
  validation {
    condition     = can(cidrhost(var.public_cidr, 0)) && tonumber(split("/", var.public_cidr)[1]) <= 26
    error_message = "public_cidr must be an IPv4 range of /26 or larger: Cloud Run takes up to four addresses an instance while revisions change."
  }
}

variable "private_cidr" {
  description = "Range of the private subnet: the endpoints of the data services. It has no way to the internet."
  type        = string
  validation {
    condition     = can(cidrhost(var.private_cidr, 0)) && tonumber(split("/", var.private_cidr)[1]) <= 29
    error_message = "private_cidr must be an IPv4 range of /29 or larger."
  }
  validation {
    # Two ranges overlap if they are the same network under the shorter of their prefixes.
    condition = length(distinct([for cidr in [var.public_cidr, var.private_cidr] : cidrhost(
      "${split("/", cidr)[0]}/${min(split("/", var.public_cidr)[1], split("/", var.private_cidr)[1])}", 0
    )])) == 2
    error_message = "private_cidr overlaps public_cidr."
  }
}

variable "egress_cidrs" {
  description = "Addresses in the internet that the service may call on port 443, as a payment processor's. None by default."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for cidr in var.egress_cidrs : can(cidrhost(cidr, 0)) && cidr != "0.0.0.0/0"])
    error_message = "egress_cidrs are IPv4 ranges, and not the whole internet."
  }
}

variable "labels" {
  description = "Labels of everything that can carry them."
  type        = map(string)
}
