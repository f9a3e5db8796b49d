# Jobs run the service's image with another command. The pipeline sets their image before a rollout. Those that use the
# database are its owner, because the service itself may delete nothing.

locals {
  jobs = {
    migrate = { account = "migrate", user = "migrate", timeout = "1800s", retries = 0 }
    prune   = { account = "migrate", user = "migrate", timeout = "1800s", retries = 1 }
    verify  = { account = "migrate", user = "migrate", timeout = "3600s", retries = 0 }
    smoke   = { account = "smoke", user = null, timeout = "300s", retries = 1 }
  }

  job_env = { for name, job in local.jobs : name => merge(
    local.common_env,
    # A job takes no requests; production wants to be told that nobody gets in without a key.
    { PAYFLOW_AUTH = "on" },
    job.user == null
    ? { SMOKE_URL = google_cloud_run_v2_service.this.uri }
    : merge(local.database_env, { DB_USER = var.database.users[job.user == null ? "serve" : job.user] }),
  ) }
}

resource "google_cloud_run_v2_job" "this" {
  for_each = local.jobs

  name                = "${var.name}-${each.key}"
  location            = var.region
  deletion_protection = var.deletion_protection
  labels              = var.labels

  template {
    task_count  = 1
    parallelism = 1

    template {
      service_account       = var.accounts[each.value.account]
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
      timeout               = each.value.timeout
      max_retries           = each.value.retries

      vpc_access {
        egress = "ALL_TRAFFIC"
        network_interfaces {
          network    = var.network.id
          subnetwork = var.network.subnet_id
        }
      }

      containers {
        name  = "payflow"
        image = var.image
        args  = [each.key]

        dynamic "env" {
          for_each = local.job_env[each.key]
          content {
            name  = env.key
            value = env.value
          }
        }
        dynamic "env" {
          for_each = each.value.user == null ? ["SMOKE_KEY"] : []
          content {
            name = env.value
            value_source {
              secret_key_ref {
                secret  = var.smoke_key_secret
                version = "latest"
              }
            }
          }
        }

        resources {
          limits = {
            cpu    = "1"
            memory = "512Mi"
          }
        }

        dynamic "volume_mounts" {
          for_each = each.value.user == null ? [] : ["database-ca"]
          content {
            name       = volume_mounts.value
            mount_path = local.database_mount
          }
        }
      }

      dynamic "volumes" {
        for_each = each.value.user == null ? [] : ["database-ca"]
        content {
          name = volumes.value
          secret {
            secret = var.database.ca_secret
            items {
              path    = "ca.pem"
              version = "latest"
            }
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [
      client,
      client_version,
      template[0].annotations,
      template[0].labels,
      template[0].template[0].containers[0].image,
    ]
  }
}

resource "google_cloud_run_v2_job_iam_member" "schedule" {
  for_each = var.schedules

  name     = google_cloud_run_v2_job.this[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.accounts.schedule}"
}

resource "google_cloud_scheduler_job" "this" {
  for_each = var.schedules

  name             = "${var.name}-${each.key}"
  region           = var.region
  description      = "Starts the job ${var.name}-${each.key}"
  schedule         = each.value
  time_zone        = "Etc/UTC"
  attempt_deadline = "60s"

  retry_config {
    retry_count          = 3
    min_backoff_duration = "30s"
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.project_id}/locations/${var.region}/jobs/${google_cloud_run_v2_job.this[each.key].name}:run"

    oauth_token {
      service_account_email = var.accounts.schedule
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }

  depends_on = [google_cloud_run_v2_job_iam_member.schedule]
}
