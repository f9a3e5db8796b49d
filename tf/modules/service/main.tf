# PayFlow on Cloud Run: the service with its Prometheus sidecar. Images and traffic belong to the pipeline: Terraform makes
# the first revision and afterwards changes everything but them, so no apply undoes a canary.

locals {
  port           = 3000
  sidecar_image  = "us-docker.pkg.dev/cloud-ops-agents-artifacts/cloud-run-gmp-sidecar/cloud-run-gmp-sidecar:1.2.0"
  database_mount = "/etc/payflow/database"
  cache_mount    = "/etc/payflow/cache"

  # Each job opens one connection, the smoke job none.
  job_connections      = 3
  reserved_connections = 10

  database_env = {
    DB_HOST        = var.database.host
    DB_NAME        = var.database.database
    DB_IAM         = "on"
    DB_SSLMODE     = "verify-full"
    DB_SSLROOTCERT = "${local.database_mount}/ca.pem"
  }
  common_env = {
    PAYFLOW_ENV          = var.environment
    GOOGLE_CLOUD_PROJECT = var.project_id
    LOG_LEVEL            = var.log_level
    LOG_FORMAT           = "json"
  }
  serve_env = merge(local.common_env, local.database_env, {
    PAYFLOW_AUTH    = "on"
    DB_USER         = var.database.users["serve"]
    DB_WRITERS      = tostring(var.pool.writers)
    DB_READERS      = tostring(var.pool.readers)
    REDIS_URL       = var.cache.url
    REDIS_IAM       = "on"
    REDIS_CA        = "${local.cache_mount}/ca.pem"
    MAX_CONCURRENCY = tostring(var.concurrency)
    MAX_INSTANCES   = tostring(var.instances.max)
    RATE_LIMIT      = tostring(var.rate_limit)
    # Google's front end writes the client's address, the load balancer adds its own.
    TRUSTED_HOPS = var.public_directly ? "1" : "2"
  })
}

resource "google_cloud_run_v2_service" "this" {
  name                = var.name
  location            = var.region
  description         = "PayFlow, ${var.environment}"
  ingress             = var.public_directly ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  deletion_protection = var.deletion_protection
  labels              = var.labels
  # Callers show API keys, which PayFlow checks itself: nobody needs an identity of Google's.
  invoker_iam_disabled = true

  template {
    service_account                  = var.accounts.serve
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    max_instance_request_concurrency = var.concurrency
    timeout                          = "30s"

    scaling {
      min_instance_count = var.instances.min
      max_instance_count = var.instances.max
    }

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
      args  = ["serve"]

      ports {
        name           = "http1"
        container_port = local.port
      }

      dynamic "env" {
        for_each = local.serve_env
        content {
          name  = env.key
          value = env.value
        }
      }

      resources {
        limits = {
          cpu    = tostring(var.cpu)
          memory = "${var.memory_mb}Mi"
        }
        # The commit queue's threads, the token's refresh and the sidecar work between requests too.
        cpu_idle          = false
        startup_cpu_boost = true
      }

      # /health touches no dependency: an instance is not killed for a database that is away.
      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 30
        http_get {
          path = "/health"
          port = local.port
        }
      }
      liveness_probe {
        period_seconds    = 10
        timeout_seconds   = 2
        failure_threshold = 3
        http_get {
          path = "/health"
          port = local.port
        }
      }

      volume_mounts {
        name       = "database-ca"
        mount_path = local.database_mount
      }
      volume_mounts {
        name       = "cache-ca"
        mount_path = local.cache_mount
      }
    }

    containers {
      name       = "prometheus"
      image      = local.sidecar_image
      depends_on = ["payflow"]

      resources {
        limits = {
          cpu    = "500m"
          memory = "256Mi"
        }
        cpu_idle = false
      }

      liveness_probe {
        initial_delay_seconds = 10
        period_seconds        = 30
        timeout_seconds       = 5
        failure_threshold     = 3
        http_get {
          path = "/"
          port = 13133
        }
      }

      volume_mounts {
        name       = "monitoring"
        mount_path = "/etc/rungmp"
      }
    }

    dynamic "volumes" {
      for_each = {
        database-ca = { secret = var.database.ca_secret, path = "ca.pem" }
        cache-ca    = { secret = var.cache.ca_secret, path = "ca.pem" }
        monitoring  = { secret = var.monitoring_secret, path = "config.yaml" }
      }
      content {
        name = volumes.key
        secret {
          secret = volumes.value.secret
          items {
            path    = volumes.value.path
            version = "latest"
          }
        }
      }
    }
  }

  traffic {
    type    = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    percent = 100
  }

  lifecycle {
    # What a rollout changes. gcloud leaves its own marks beside the image. The revision's name is nobody's: a person's
    # `gcloud run deploy --tag` would write one here, and an apply must not make a revision only to take it out.
    ignore_changes = [
      client,
      client_version,
      template[0].annotations,
      template[0].containers[0].image,
      template[0].labels,
      template[0].revision,
      traffic,
    ]
  }
}
