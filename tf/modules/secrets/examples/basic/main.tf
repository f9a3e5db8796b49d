# Outputs are module.secrets.NAME; the provider takes its project from GOOGLE_PROJECT.
module "secrets" {
  source = "../.."

  name                = "payflow-staging"
  region              = "europe-west1"
  deletion_protection = true
  labels              = { app = "payflow", environment = "staging", cost-center = "payments" }
  files = {
    monitoring = {
      content = file("${path.module}/../../../service/monitoring.yaml")
      readers = ["serviceAccount:payflow-staging-serve@payflow-example.iam.gserviceaccount.com"]
    }
  }
  secrets = {
    smoke-key = { readers = ["serviceAccount:payflow-staging-smoke@payflow-example.iam.gserviceaccount.com"] }
  }
}
