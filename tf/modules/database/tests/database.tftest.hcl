mock_provider "google" {
  mock_resource "google_sql_database_instance" {
    defaults = {
      dns_name                    = "0123456789ab.3abc4def.europe-west1.sql.goog."
      psc_service_attachment_link = "projects/p-tp/regions/europe-west1/serviceAttachments/a"
      server_ca_cert              = [{ cert = "-----BEGIN CERTIFICATE-----", common_name = "", create_time = "", expiration_time = "", sha1_fingerprint = "" }]
    }
  }
  mock_resource "google_compute_address" {
    defaults = { id = "projects/payflow-test/regions/europe-west1/addresses/payflow-test-database", address = "10.10.1.5" }
  }
}

variables {
  project_id          = "payflow-test"
  name                = "payflow-test"
  region              = "europe-west1"
  network_id          = "projects/payflow-test/global/networks/payflow-test"
  subnet_id           = "projects/payflow-test/regions/europe-west1/subnetworks/payflow-test-private"
  tier                = "db-custom-1-3840"
  highly_available    = true
  max_connections     = 200
  disk_limit_gb       = 100
  backups_kept        = 30
  deletion_protection = true
  labels              = { environment = "test" }
  users = {
    serve   = "serve@payflow-test.iam.gserviceaccount.com"
    migrate = "migrate@payflow-test.iam.gserviceaccount.com"
    deploy  = "deploy@payflow-test.iam.gserviceaccount.com"
  }
}

run "private_encrypted_and_verifiable" {
  command = plan

  assert {
    condition     = one(google_sql_database_instance.this.settings[0].ip_configuration).ipv4_enabled == false
    error_message = "the database must have no public address"
  }
  assert {
    condition     = one(google_sql_database_instance.this.settings[0].ip_configuration).ssl_mode == "ENCRYPTED_ONLY"
    error_message = "TLS must be required"
  }
  assert {
    condition     = one(google_sql_database_instance.this.settings[0].ip_configuration).server_ca_mode == "GOOGLE_MANAGED_CAS_CA"
    error_message = "verify-full needs a certificate with the DNS name in it"
  }
  assert {
    condition     = contains([for flag in google_sql_database_instance.this.settings[0].database_flags : "${flag.name}=${flag.value}"], "cloudsql.iam_authentication=on")
    error_message = "log-in is by IAM"
  }
}

run "survives_a_zone_and_a_mistake" {
  command = plan

  assert {
    condition     = google_sql_database_instance.this.settings[0].availability_type == "REGIONAL"
    error_message = "highly_available must give a standby"
  }
  assert {
    condition     = one(google_sql_database_instance.this.settings[0].backup_configuration).point_in_time_recovery_enabled && one(google_sql_database_instance.this.settings[0].backup_configuration).transaction_log_retention_days == 7
    error_message = "point-in-time recovery must reach back 7 days"
  }
  assert {
    condition     = google_sql_database_instance.this.deletion_protection && google_sql_database_instance.this.settings[0].deletion_protection_enabled
    error_message = "deletion protection must hold in Terraform and in the API"
  }
}

run "least_privilege" {
  command = plan

  assert {
    condition     = google_sql_user.this["serve"].database_roles == tolist(["payflow_app"]) && google_sql_user.this["migrate"].database_roles == tolist(["payflow_owner"])
    error_message = "the service and the migrations have one role each"
  }
  assert {
    condition     = alltrue([for user in concat(values(google_sql_user.this), [google_sql_user.deploy]) : user.type == "CLOUD_IAM_SERVICE_ACCOUNT" && user.password == null])
    error_message = "nobody has a password"
  }
}

run "the_name_in_the_certificate_leads_to_the_endpoint" {
  assert {
    condition     = google_dns_record_set.this.name == "0123456789ab.3abc4def.europe-west1.sql.goog." && google_dns_record_set.this.rrdatas == tolist(["10.10.1.5"])
    error_message = "the DNS name must lead to the endpoint's address"
  }
  assert {
    condition     = endswith(google_dns_record_set.this.name, google_dns_managed_zone.this.dns_name)
    error_message = "the record must be in the zone"
  }
  assert {
    condition     = output.connection.host == "0123456789ab.3abc4def.europe-west1.sql.goog" && output.connection.users.serve == "serve@payflow-test.iam"
    error_message = "the service must connect by that name, without the dot at its end, as its own user"
  }
  assert {
    condition     = startswith(nonsensitive(output.server_ca), "-----BEGIN CERTIFICATE-----")
    error_message = "the authority must be handed on"
  }
}

run "no_backups_is_refused" {
  command = plan
  variables {
    backups_kept = 0
  }
  expect_failures = [var.backups_kept]
}

run "a_disk_without_a_limit_is_refused" {
  command = plan
  variables {
    disk_limit_gb = 0
  }
  expect_failures = [var.disk_limit_gb]
}

run "too_few_connections_are_refused" {
  command = plan
  variables {
    max_connections = 10
  }
  expect_failures = [var.max_connections]
}

run "a_person_as_a_user_is_refused" {
  command = plan
  variables {
    users = {
      serve   = "someone@example.com"
      migrate = "migrate@payflow-test.iam.gserviceaccount.com"
      deploy  = "deploy@payflow-test.iam.gserviceaccount.com"
    }
  }
  expect_failures = [var.users]
}
