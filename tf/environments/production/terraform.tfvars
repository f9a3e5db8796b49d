environment         = "production"
domain              = "api.example.com"
deletion_protection = true

network  = { public_cidr = "10.30.0.0/24", private_cidr = "10.30.1.0/24" }
database = { tier = "db-custom-2-7680", highly_available = true, max_connections = 200, disk_limit_gb = 200, backups_kept = 30 }
cache    = { node_type = "STANDARD_SMALL", replicas = 1 }
service = {
  instances = { min = 2, max = 10 }
}

notification_emails = ["payflow@example.com"]
log_retention_days  = 400
budget_amount       = 700
