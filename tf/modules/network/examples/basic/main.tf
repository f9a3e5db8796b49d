# Outputs are module.network.NAME; the provider takes its project from GOOGLE_PROJECT.
module "network" {
  source = "../.."

  name         = "payflow-staging"
  region       = "europe-west1"
  public_cidr  = "10.20.0.0/24"
  private_cidr = "10.20.1.0/24"
  egress_cidrs = ["203.0.113.0/28"] # a payment processor's
  labels       = { app = "payflow", environment = "staging", cost-center = "payments" }
}
