# An environment: the same for development, staging and production, whose folders link to these files. What differs is in
# each folder's terraform.tfvars. Nothing here reads an API while planning.

provider "google" {
  project = var.project_id
  region  = var.region
}

locals {
  name = "payflow-${var.environment}"
  labels = {
    app         = "payflow"
    environment = var.environment
    cost-center = var.cost_center
    managed-by  = "terraform"
  }

  # Made by bootstrap/, with names that are known beforehand.
  accounts = { for role in ["serve", "migrate", "smoke", "schedule", "deploy"] :
    role => "${local.name}-${role}@${var.project_id}.iam.gserviceaccount.com"
  }
  registry = "${var.region}-docker.pkg.dev/${coalesce(var.registry_project_id, var.project_id)}/payflow"
}

module "network" {
  source = "../../modules/network"

  name         = local.name
  region       = var.region
  public_cidr  = var.network.public_cidr
  private_cidr = var.network.private_cidr
  egress_cidrs = var.network.egress_cidrs
  labels       = local.labels
}

module "database" {
  source = "../../modules/database"

  project_id          = var.project_id
  name                = local.name
  region              = var.region
  network_id          = module.network.network_id
  subnet_id           = module.network.private_subnet_id
  users               = { for role in ["serve", "migrate", "deploy"] : role => local.accounts[role] }
  tier                = var.database.tier
  highly_available    = var.database.highly_available
  max_connections     = var.database.max_connections
  disk_limit_gb       = var.database.disk_limit_gb
  backups_kept        = var.database.backups_kept
  deletion_protection = var.deletion_protection
  labels              = local.labels
}

module "cache" {
  source = "../../modules/cache"

  project_id          = var.project_id
  name                = local.name
  region              = var.region
  network_id          = module.network.network_id
  node_type           = var.cache.node_type
  replicas            = var.cache.replicas
  deletion_protection = var.deletion_protection
  labels              = local.labels

  # The endpoint is made by the network's service connection policy.
  depends_on = [module.network]
}

module "secrets" {
  source = "../../modules/secrets"

  name                = local.name
  region              = var.region
  deletion_protection = var.deletion_protection
  labels              = local.labels
  files = {
    database-ca = { content = module.database.server_ca, readers = ["serviceAccount:${local.accounts.serve}", "serviceAccount:${local.accounts.migrate}"] }
    cache-ca    = { content = module.cache.server_ca, readers = ["serviceAccount:${local.accounts.serve}"] }
    monitoring  = { content = file("${path.module}/../../modules/service/monitoring.yaml"), readers = ["serviceAccount:${local.accounts.serve}"] }
  }
  secrets = {
    smoke-key     = { readers = ["serviceAccount:${local.accounts.smoke}"] }
    slack-webhook = { readers = ["serviceAccount:${local.accounts.deploy}"] }
  }
}

module "service" {
  source = "../../modules/service"

  project_id          = var.project_id
  name                = local.name
  environment         = var.environment
  region              = var.region
  image               = coalesce(var.image, "${local.registry}/payflow:first")
  accounts            = { for role in ["serve", "migrate", "smoke", "schedule"] : role => local.accounts[role] }
  network             = { id = module.network.network_id, subnet_id = module.network.public_subnet_id }
  database            = merge(module.database.connection, { max_connections = var.database.max_connections, ca_secret = module.secrets.ids["database-ca"] })
  cache               = { url = module.cache.url, ca_secret = module.secrets.ids["cache-ca"] }
  smoke_key_secret    = module.secrets.ids["smoke-key"]
  monitoring_secret   = module.secrets.ids["monitoring"]
  public_directly     = var.domain == null
  cpu                 = var.service.cpu
  memory_mb           = var.service.memory_mb
  concurrency         = var.service.concurrency
  instances           = var.service.instances
  pool                = var.service.pool
  rate_limit          = var.service.rate_limit
  log_level           = var.service.log_level
  schedules           = var.service.schedules
  deletion_protection = var.deletion_protection
  labels              = local.labels

  # Files must be there, and readable, before an instance starts; so must the ways and the users in the database.
  depends_on = [module.secrets, module.database, module.network]
}

module "edge" {
  source = "../../modules/edge"
  count  = var.domain == null ? 0 : 1

  name              = local.name
  region            = var.region
  service           = module.service.name
  domain            = var.domain
  dns_zone          = var.dns_zone
  requests_a_minute = var.requests_a_minute
  labels            = local.labels
}

module "observability" {
  source = "../../modules/observability"

  project_id          = var.project_id
  region              = var.region
  environment         = var.environment
  service_name        = local.name
  notification_emails = var.notification_emails
  critical_channels   = var.critical_channels
  uptime_host         = var.domain
  alerts_dir          = "${path.module}/../../../alerts"
  log_retention_days  = var.log_retention_days
  billing_account     = var.billing_account
  project_number      = var.project_number
  budget_amount       = var.budget_amount
  labels              = local.labels
}
