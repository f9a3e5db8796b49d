environment         = "development"
deletion_protection = false

network  = { public_cidr = "10.10.0.0/24", private_cidr = "10.10.1.0/24" }
database = { tier = "db-f1-micro", highly_available = false, max_connections = 50, disk_limit_gb = 20, backups_kept = 2 }
cache    = { node_type = "SHARED_CORE_NANO", replicas = 0 }
service = {
  instances = { min = 0, max = 2 }
  pool      = { writers = 1, readers = 2 }
  log_level = "debug"
  schedules = { prune = "17 2 * * *" }
}

notification_emails = ["payflow@example.com"]
log_retention_days  = 7
budget_amount       = 50
