# One VPC an environment. The firewall denies by default in both directions; what is open stands in `open` below.

locals {
  cidrs = { public = var.public_cidr, private = var.private_cidr }

  # private.googleapis.com: the way to Google's APIs that never leaves Google's network.
  google_apis = ["199.36.153.8", "199.36.153.9", "199.36.153.10", "199.36.153.11"]

  open = merge({
    data        = { ranges = [var.private_cidr], ports = ["5432", "6379"], why = "PostgreSQL and Valkey" }
    google-apis = { ranges = ["199.36.153.8/30"], ports = ["443"], why = "Google's APIs, on their private addresses" }
    }, length(var.egress_cidrs) == 0 ? {} : {
    internet = { ranges = var.egress_cidrs, ports = ["443"], why = "named addresses in the internet, through NAT" }
  })
}

resource "google_compute_network" "this" {
  name                    = var.name
  description             = "PayFlow: Cloud Run reaches its data services through this network"
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"
}

resource "google_compute_subnetwork" "this" {
  for_each = local.cidrs

  name                     = "${var.name}-${each.key}"
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = each.value
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.5
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_firewall" "deny" {
  for_each = toset(["INGRESS", "EGRESS"])

  name               = "${var.name}-deny-${lower(each.key)}"
  description        = "Everything that no other rule names"
  network            = google_compute_network.this.id
  direction          = each.key
  priority           = 65534
  source_ranges      = each.key == "INGRESS" ? ["0.0.0.0/0"] : null
  destination_ranges = each.key == "EGRESS" ? ["0.0.0.0/0"] : null

  deny {
    protocol = "all"
  }
  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_firewall" "open" {
  for_each = local.open

  name               = "${var.name}-to-${each.key}"
  description        = each.value.why
  network            = google_compute_network.this.id
  direction          = "EGRESS"
  priority           = 1000
  destination_ranges = each.value.ranges

  allow {
    protocol = "tcp"
    ports    = each.value.ports
  }
  log_config {
    metadata = "EXCLUDE_ALL_METADATA"
  }
}

resource "google_compute_router" "this" {
  name    = var.name
  region  = var.region
  network = google_compute_network.this.id
}

# Only the public subnet goes out. The firewall above decides where to.
resource "google_compute_router_nat" "this" {
  name                               = var.name
  region                             = var.region
  router                             = google_compute_router.this.name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.this["public"].id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }
  log_config {
    enable = true
    filter = "ALL"
  }
}

# Memorystore makes its own endpoint (Private Service Connect), and may do so in the private subnet only.
resource "google_network_connectivity_service_connection_policy" "cache" {
  name          = "${var.name}-cache"
  location      = var.region
  service_class = "gcp-memorystore"
  network       = google_compute_network.this.id
  labels        = var.labels

  psc_config {
    subnetworks = [google_compute_subnetwork.this["private"].id]
  }
}

# Names of Google's APIs, and of Cloud Run's own services for the smoke job, lead to the private addresses.
resource "google_dns_managed_zone" "google" {
  for_each = toset(["googleapis.com", "run.app"])

  name        = "${var.name}-${replace(each.key, ".", "-")}"
  dns_name    = "${each.key}."
  description = "${each.key} on Google's private addresses"
  visibility  = "private"
  labels      = var.labels

  private_visibility_config {
    networks {
      network_url = google_compute_network.this.id
    }
  }
}

resource "google_dns_record_set" "google" {
  for_each = google_dns_managed_zone.google

  managed_zone = each.value.name
  name         = each.value.dns_name
  type         = "A"
  ttl          = 300
  rrdatas      = local.google_apis
}

resource "google_dns_record_set" "google_all" {
  for_each = google_dns_managed_zone.google

  managed_zone = each.value.name
  name         = "*.${each.value.dns_name}"
  type         = "CNAME"
  ttl          = 300
  rrdatas      = [each.value.dns_name]
}
