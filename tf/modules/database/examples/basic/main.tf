# Outputs are module.database.NAME; the provider takes its project from GOOGLE_PROJECT.
module "database" {
  source = "../.."

  project_id          = "payflow-example"
  name                = "payflow-staging"
  region              = "europe-west1"
  network_id          = "projects/payflow-example/global/networks/payflow-staging"
  subnet_id           = "projects/payflow-example/regions/europe-west1/subnetworks/payflow-staging-private"
  tier                = "db-custom-1-3840"
  highly_available    = true
  max_connections     = 100
  disk_limit_gb       = 50
  backups_kept        = 7
  deletion_protection = true
  labels              = { app = "payflow", environment = "staging", cost-center = "payments" }
  users = {
    serve   = "payflow-staging-serve@payflow-example.iam.gserviceaccount.com"
    migrate = "payflow-staging-migrate@payflow-example.iam.gserviceaccount.com"
    deploy  = "payflow-staging-deploy@payflow-example.iam.gserviceaccount.com"
  }
}
