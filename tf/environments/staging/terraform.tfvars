environment         = "staging"
domain              = "api.staging.example.com"
deletion_protection = true

network  = { public_cidr = "10.20.0.0/24", private_cidr = "10.20.1.0/24" }
database = { tier = "db-custom-1-3840", highly_available = false, max_connections = 100, disk_limit_gb = 50, backups_kept = 7 }
cache    = { node_type = "SHARED_CORE_NANO", replicas = 1 }
service = {
  instances = { min = 1, max = 3 }
}

notification_emails = ["payflow@example.com"]
log_retention_days  = 30
budget_amount       = 150
