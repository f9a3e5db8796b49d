mock_provider "google" {
  mock_resource "google_memorystore_instance" {
    defaults = {
      endpoints = [{ connections = [
        { psc_auto_connection = [{ connection_type = "CONNECTION_TYPE_READER", ip_address = "10.10.1.8", port = 6379, forwarding_rule = "", network = "", project_id = "", psc_connection_id = "", service_attachment = "" }] },
        { psc_auto_connection = [{ connection_type = "CONNECTION_TYPE_PRIMARY", ip_address = "10.10.1.7", port = 6379, forwarding_rule = "", network = "", project_id = "", psc_connection_id = "", service_attachment = "" }] },
      ] }]
      managed_server_ca = [{ ca_certs = [{ certificates = ["FIRST", "SECOND"] }] }]
    }
  }
}

variables {
  project_id          = "payflow-test"
  name                = "payflow-test"
  region              = "europe-west1"
  network_id          = "projects/payflow-test/global/networks/payflow-test"
  node_type           = "STANDARD_SMALL"
  replicas            = 1
  deletion_protection = true
  labels              = { environment = "test" }
}

run "token_and_tls" {
  command = plan

  assert {
    condition     = google_memorystore_instance.this.authorization_mode == "IAM_AUTH"
    error_message = "log-in must be by IAM token"
  }
  assert {
    condition     = google_memorystore_instance.this.transit_encryption_mode == "SERVER_AUTHENTICATION"
    error_message = "connections must be encrypted and the server checked"
  }
  assert {
    condition     = google_memorystore_instance.this.mode == "CLUSTER_DISABLED" && google_memorystore_instance.this.replica_count == 1
    error_message = "one shard, with the replicas asked for"
  }
}

run "outputs_name_the_primary" {
  assert {
    condition     = output.url == "rediss://10.10.1.7:6379"
    error_message = "the URL must lead to the primary by TLS: ${output.url}"
  }
  assert {
    condition     = output.server_ca == "FIRST\nSECOND"
    error_message = "all authorities must be handed on, so that a rotation goes unnoticed: ${output.server_ca}"
  }
}

run "unknown_size_is_refused" {
  command = plan
  variables {
    node_type = "HUGE"
  }
  expect_failures = [var.node_type]
}

run "too_many_replicas_are_refused" {
  command = plan
  variables {
    replicas = 6
  }
  expect_failures = [var.replicas]
}
