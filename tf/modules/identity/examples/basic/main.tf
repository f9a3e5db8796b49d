# Outputs are module.identity.NAME; the provider takes its project from GOOGLE_PROJECT.
module "identity" {
  source = "../.."

  project_id     = "payflow-example"
  region         = "europe-west1"
  environments   = ["staging", "production"]
  administrators = ["group:payflow@example.com"]
  circleci = {
    organization_id       = "11111111-2222-3333-4444-555555555555"
    project_id            = "66666666-7777-8888-9999-aaaaaaaaaaaa"
    production_context_id = "bbbbbbbb-cccc-dddd-eeee-ffffffffffff"
  }
}
