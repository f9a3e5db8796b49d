mock_provider "google" {
  mock_resource "google_compute_network" {
    defaults = { id = "projects/payflow-test/global/networks/payflow-test" }
  }
}

override_resource {
  target = google_compute_subnetwork.this["public"]
  values = { id = "projects/payflow-test/regions/europe-west1/subnetworks/payflow-test-public" }
}

override_resource {
  target = google_compute_subnetwork.this["private"]
  values = { id = "projects/payflow-test/regions/europe-west1/subnetworks/payflow-test-private" }
}

variables {
  name         = "payflow-test"
  region       = "europe-west1"
  public_cidr  = "10.10.0.0/24"
  private_cidr = "10.10.1.0/24"
  labels       = { environment = "test" }
}

run "denies_by_default" {
  command = plan

  assert {
    condition     = alltrue([for rule in google_compute_firewall.deny : one(rule.deny).protocol == "all" && rule.priority > google_compute_firewall.open["data"].priority])
    error_message = "what no rule names must be denied, in both directions"
  }
  assert {
    condition     = toset(keys(google_compute_firewall.open)) == toset(["data", "google-apis"])
    error_message = "only the data services and Google's APIs are open by default"
  }
  assert {
    condition     = alltrue([for rule in google_compute_firewall.open : rule.direction == "EGRESS" && !contains(rule.destination_ranges, "0.0.0.0/0")])
    error_message = "an open rule must name where it leads"
  }
  assert {
    condition     = google_compute_firewall.open["data"].destination_ranges == toset(["10.10.1.0/24"])
    error_message = "the data services are in the private subnet"
  }
}

run "only_the_public_subnet_has_nat" {
  command = plan

  assert {
    condition     = google_compute_router_nat.this.source_subnetwork_ip_ranges_to_nat == "LIST_OF_SUBNETWORKS" && length(google_compute_router_nat.this.subnetwork) == 1
    error_message = "the private subnet must have no way out"
  }
  assert {
    condition     = alltrue([for subnet in google_compute_subnetwork.this : subnet.private_ip_google_access && length(subnet.log_config) == 1])
    error_message = "subnets have private access to Google and flow logs"
  }
}

run "named_addresses_open_the_way_out" {
  command = plan
  variables {
    egress_cidrs = ["203.0.113.0/28"]
  }

  assert {
    condition     = google_compute_firewall.open["internet"].destination_ranges == toset(["203.0.113.0/28"])
    error_message = "the named range must be open, and only that"
  }
}

run "outputs" {
  assert {
    condition     = endswith(output.public_subnet_id, "-public") && endswith(output.private_subnet_id, "-private")
    error_message = "the outputs name the wrong subnets"
  }
}

run "overlap_is_refused" {
  command = plan
  variables {
    private_cidr = "10.10.0.128/25"
  }
  expect_failures = [var.private_cidr]
}

run "overlap_the_other_way_round_is_refused" {
  command = plan
  variables {
    private_cidr = "10.0.0.0/8"
  }
  expect_failures = [var.private_cidr]
}

run "too_small_a_subnet_is_refused" {
  command = plan
  variables {
    public_cidr = "10.10.0.0/27"
  }
  expect_failures = [var.public_cidr]
}

run "the_whole_internet_is_refused" {
  command = plan
  variables {
    egress_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.egress_cidrs]
}
