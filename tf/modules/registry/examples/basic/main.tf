# Outputs are module.registry.NAME; the provider takes its project from GOOGLE_PROJECT.
module "registry" {
  source = "../.."

  project_id     = "payflow-example"
  region         = "europe-west1"
  writer         = "serviceAccount:payflow-build@payflow-example.iam.gserviceaccount.com"
  secret_editors = ["group:payflow@example.com"]
  labels         = { app = "payflow", environment = "shared", cost-center = "payments" }
}
