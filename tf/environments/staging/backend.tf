# The bucket is bootstrap's: terraform init -backend-config=bucket=PROJECT-payflow-state. It locks while it is written, and
# keeps old versions.
terraform {
  backend "gcs" {
    prefix = "staging"
  }
}
