# Cloud SQL for PostgreSQL 17 with a private address only.
#
# TLS: server_ca_mode GOOGLE_MANAGED_CAS_CA goes with sslmode=verify-full. The authority is shared by the region, so the
# name must be checked too, and the certificate carries the instance's DNS name. That name leads to the endpoint below.
# Nobody has a password: users are service accounts, which log in with an access token.

locals {
  # PostgreSQL's names for them: without the suffix, since names end at 63 bytes.
  users = { for role, email in var.users : role => trimsuffix(email, ".gserviceaccount.com") }
  host  = trimsuffix(google_sql_database_instance.this.dns_name, ".")
}

resource "google_sql_database_instance" "this" {
  #checkov:skip=CKV_GCP_6:TLS is required by ENCRYPTED_ONLY; clients prove who they are by IAM token, not by certificate
  #checkov:skip=CKV_GCP_57:a statement slower than a second is logged; its values are ids and amounts, no card data
  #checkov:skip=CKV_GCP_79:17 is the version that PayFlow is tested with
  #checkov:skip=CKV_GCP_108:names are looked up at each connection, and clients are one service on private addresses
  #checkov:skip=CKV_GCP_110:log_statement=ddl logs changes of schema and rights; pgAudit would log payments' rows
  #checkov:skip=CKV2_GCP_13:a line for each statement; log_min_duration_statement logs the slow ones
  name                = var.name
  region              = var.region
  database_version    = "POSTGRES_17"
  deletion_protection = var.deletion_protection

  settings {
    tier                        = var.tier
    edition                     = "ENTERPRISE"
    availability_type           = var.highly_available ? "REGIONAL" : "ZONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = 10
    disk_autoresize             = true
    disk_autoresize_limit       = var.disk_limit_gb
    deletion_protection_enabled = var.deletion_protection
    retain_backups_on_delete    = true
    # For google_sql_provision_script: SQL by the API, with IAM, without a network path from where Terraform runs.
    data_api_access = "ALLOW_DATA_API"
    user_labels     = var.labels

    ip_configuration {
      ipv4_enabled                     = false
      ssl_mode                         = "ENCRYPTED_ONLY"
      server_ca_mode                   = "GOOGLE_MANAGED_CAS_CA"
      server_certificate_rotation_mode = "AUTOMATIC_ROTATION_DURING_MAINTENANCE"

      psc_config {
        psc_enabled               = true
        allowed_consumer_projects = [var.project_id]
      }
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "02:00"
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = min(7, var.backups_kept)

      backup_retention_settings {
        retained_backups = var.backups_kept
        retention_unit   = "COUNT"
      }
    }

    maintenance_window {
      day          = 7
      hour         = 3
      update_track = "stable"
    }

    insights_config {
      query_insights_enabled  = true
      query_plans_per_minute  = 5
      query_string_length     = 1024
      record_application_tags = false
      record_client_address   = false
    }

    database_flags {
      name  = "cloudsql.iam_authentication"
      value = "on"
    }
    database_flags {
      name  = "max_connections"
      value = tostring(var.max_connections)
    }
    # Who came, who waited, what was slow or failed, and every change of schema or rights: for audits and runbooks.
    database_flags {
      name  = "log_connections"
      value = "on"
    }
    database_flags {
      name  = "log_disconnections"
      value = "on"
    }
    database_flags {
      name  = "log_lock_waits"
      value = "on"
    }
    database_flags {
      name  = "log_checkpoints"
      value = "on"
    }
    database_flags {
      name  = "log_temp_files"
      value = "0"
    }
    database_flags {
      name  = "log_min_duration_statement"
      value = "1000"
    }
    database_flags {
      name  = "log_min_error_statement"
      value = "error"
    }
    database_flags {
      name  = "log_statement"
      value = "ddl"
    }
  }

  lifecycle {
    # It grows by itself.
    ignore_changes = [settings[0].disk_size]
  }
}

resource "google_sql_database" "this" {
  name            = "payflow"
  instance        = google_sql_database_instance.this.name
  deletion_policy = "ABANDON"
}

# --- the way to it ----------------------------------------------------------------------------------------------------

resource "google_compute_address" "this" {
  name         = "${var.name}-database"
  region       = var.region
  subnetwork   = var.subnet_id
  address_type = "INTERNAL"
  labels       = var.labels
}

resource "google_compute_forwarding_rule" "this" {
  name                  = "${var.name}-database"
  region                = var.region
  network               = var.network_id
  ip_address            = google_compute_address.this.id
  target                = google_sql_database_instance.this.psc_service_attachment_link
  load_balancing_scheme = ""
  # No labels: the API refuses them when such an endpoint is made.
}

resource "google_dns_managed_zone" "this" {
  name        = "${var.name}-database"
  dns_name    = "${var.region}.sql.goog."
  description = "The DNS name in the server's certificate"
  visibility  = "private"
  labels      = var.labels

  private_visibility_config {
    networks {
      network_url = var.network_id
    }
  }
}

resource "google_dns_record_set" "this" {
  managed_zone = google_dns_managed_zone.this.name
  name         = "${local.host}."
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_address.this.address]
}

# --- who may do what --------------------------------------------------------------------------------------------------

resource "google_sql_user" "deploy" {
  instance        = google_sql_database_instance.this.name
  name            = local.users.deploy
  type            = "CLOUD_IAM_SERVICE_ACCOUNT"
  database_roles  = ["cloudsqlsuperuser"]
  deletion_policy = "ABANDON"
}

resource "google_sql_provision_script" "roles" {
  instance    = google_sql_database_instance.this.name
  database    = google_sql_database.this.name
  description = "The roles of the schema's owner and of the service"
  script      = file("${path.module}/roles.sql")
  depends_on  = [google_sql_user.deploy]
}

resource "google_sql_user" "this" {
  for_each = { serve = "payflow_app", migrate = "payflow_owner" }

  instance        = google_sql_database_instance.this.name
  name            = local.users[each.key]
  type            = "CLOUD_IAM_SERVICE_ACCOUNT"
  database_roles  = [each.value]
  deletion_policy = "ABANDON"
  depends_on      = [google_sql_provision_script.roles]
}
