# Memorystore for Valkey, cluster mode disabled: log-in by IAM token, TLS, one private endpoint (Private Service Connect).
# Each instance has its own authority, so a certificate that it signed can only be this server's.
# Nothing here is worth keeping: limits and hot answers. No persistence, no backups.

resource "google_memorystore_instance" "this" {
  instance_id                 = var.name
  location                    = var.region
  mode                        = "CLUSTER_DISABLED"
  engine_version              = "VALKEY_8_0"
  shard_count                 = 1
  replica_count               = var.replicas
  node_type                   = var.node_type
  authorization_mode          = "IAM_AUTH"
  transit_encryption_mode     = "SERVER_AUTHENTICATION"
  server_ca_mode              = "GOOGLE_MANAGED_PER_INSTANCE_CA"
  deletion_protection_enabled = var.deletion_protection
  labels                      = var.labels

  engine_configs = {
    "maxmemory-policy" = "volatile-lru"
  }

  desired_auto_created_endpoints {
    network    = var.network_id
    project_id = var.project_id
  }

  persistence_config {
    mode = "DISABLED"
  }

  zone_distribution_config {
    mode = "MULTI_ZONE"
  }

  maintenance_policy {
    weekly_maintenance_window {
      day = "SUNDAY"
      start_time {
        hours = 4
      }
    }
  }
}
