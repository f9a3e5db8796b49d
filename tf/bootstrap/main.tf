# Once a project, by a person who owns it: APIs, the bucket for Terraform's state, the accounts and what they may do, the
# pipeline's way in, the registry and its keys. Everything else is in environments/, and is the pipeline's.

provider "google" {
  project = var.project_id
  region  = var.region
}

locals {
  labels = {
    app         = "payflow"
    environment = "shared"
    cost-center = var.cost_center
    managed-by  = "terraform"
  }

  apis = [
    "artifactregistry", "billingbudgets", "cloudkms", "cloudresourcemanager", "cloudscheduler", "compute", "containerscanning",
    "dns", "iam", "iamcredentials", "logging", "memorystore", "monitoring", "networkconnectivity", "run", "secretmanager",
    "serviceconsumermanagement", "servicedirectory", "serviceusage", "sqladmin", "storage", "sts",
  ]

  # An environment's pipeline reads and writes its own state, production's plan reads it; lists need the whole bucket.
  state_users = merge({ for environment in var.environments : "${environment}-deploy" => {
    environment = environment, role = "roles/storage.objectUser" } },
    { for environment in setintersection(var.environments, ["production"]) : "${environment}-plan" => {
      environment = environment, role = "roles/storage.objectViewer"
  } })
  state_roles = merge([for account, user in local.state_users : {
    "${account} objects" = { account = account, environment = user.environment, role = user.role }
    "${account} list"    = { account = account, environment = user.environment, role = "roles/storage.legacyBucketReader" }
  }]...)
}

resource "google_project_service" "this" {
  for_each = toset(local.apis)

  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_storage_bucket" "state" {
  #checkov:skip=CKV_GCP_62:who read or wrote the state is in Cloud Audit Logs, which need no second bucket
  name                        = "${var.project_id}-payflow-state"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false
  labels                      = local.labels

  # A state that an apply spoilt is one version back.
  versioning {
    enabled = true
  }
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions         = 20
      days_since_noncurrent_time = 90
    }
  }
  lifecycle {
    prevent_destroy = true
  }
  depends_on = [google_project_service.this]
}

resource "google_storage_bucket_iam_member" "state" {
  for_each = local.state_roles

  bucket = google_storage_bucket.state.name
  role   = each.value.role
  member = "serviceAccount:${module.identity.emails[each.value.account]}"

  dynamic "condition" {
    for_each = each.value.role == "roles/storage.legacyBucketReader" ? [] : [1]
    content {
      title      = "its own state"
      expression = "resource.name.startsWith('projects/_/buckets/${google_storage_bucket.state.name}/objects/${each.value.environment}/')"
    }
  }
}

module "identity" {
  source = "../modules/identity"

  project_id     = var.project_id
  region         = var.region
  environments   = var.environments
  administrators = var.administrators
  circleci       = var.circleci

  depends_on = [google_project_service.this]
}

module "registry" {
  source = "../modules/registry"

  project_id             = var.project_id
  region                 = var.region
  writer                 = "serviceAccount:${module.identity.emails["build"]}"
  reader_project_numbers = var.reader_project_numbers
  secret_editors         = var.administrators
  labels                 = local.labels

  depends_on = [google_project_service.this]
}
