# Outputs are module.service.NAME; the provider takes its project from GOOGLE_PROJECT.
module "service" {
  source = "../.."

  project_id          = "payflow-example"
  name                = "payflow-staging"
  environment         = "staging"
  region              = "europe-west1"
  image               = "europe-west1-docker.pkg.dev/payflow-example/payflow/payflow:first"
  public_directly     = false
  instances           = { min = 1, max = 3 }
  smoke_key_secret    = "payflow-staging-smoke-key"
  monitoring_secret   = "payflow-staging-monitoring"
  deletion_protection = true
  labels              = { app = "payflow", environment = "staging", cost-center = "payments" }
  accounts = {
    serve    = "payflow-staging-serve@payflow-example.iam.gserviceaccount.com"
    migrate  = "payflow-staging-migrate@payflow-example.iam.gserviceaccount.com"
    smoke    = "payflow-staging-smoke@payflow-example.iam.gserviceaccount.com"
    schedule = "payflow-staging-schedule@payflow-example.iam.gserviceaccount.com"
  }
  network = {
    id        = "projects/payflow-example/global/networks/payflow-staging"
    subnet_id = "projects/payflow-example/regions/europe-west1/subnetworks/payflow-staging-public"
  }
  database = {
    host            = "0123456789ab.3abc4def.europe-west1.sql.goog"
    database        = "payflow"
    users           = { serve = "payflow-staging-serve@payflow-example.iam", migrate = "payflow-staging-migrate@payflow-example.iam" }
    max_connections = 100
    ca_secret       = "payflow-staging-database-ca"
  }
  cache = { url = "rediss://10.20.1.7:6379", ca_secret = "payflow-staging-cache-ca" }
}
