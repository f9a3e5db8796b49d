# Who may do what. An environment has five accounts: serve, migrate, smoke (tests a revision from inside the network),
# schedule (starts the jobs) and deploy (the pipeline). Production has a sixth, plan, which can only look: its plan is made
# before a person approves it. One more, build, pushes and signs images. None has a key: Cloud Run's come from the metadata
# server, the pipeline's by Workload Identity Federation. All rights in the project are given here, by a person: the pipeline
# cannot extend its own.

locals {
  # What an account may do in the whole project. Rights to one secret, job or repository are given beside it.
  telemetry = ["roles/logging.logWriter", "roles/monitoring.metricWriter"]
  roles = {
    serve    = concat(local.telemetry, ["roles/cloudsql.instanceUser", "roles/memorystore.dbConnectionUser"])
    migrate  = concat(local.telemetry, ["roles/cloudsql.instanceUser"])
    smoke    = local.telemetry
    schedule = []
    deploy = [
      "roles/artifactregistry.reader",
      "roles/cloudscheduler.admin",
      "roles/cloudsql.admin",
      "roles/cloudsql.instanceUser", # for the roles in the database
      "roles/compute.loadBalancerAdmin",
      "roles/compute.networkAdmin",
      "roles/compute.securityAdmin",
      "roles/dns.admin",
      "roles/logging.configWriter",
      "roles/memorystore.admin",
      "roles/monitoring.editor",
      "roles/networkconnectivity.consumerNetworkAdmin",
      "roles/run.admin",
      "roles/secretmanager.admin",
      "roles/servicedirectory.editor", # endpoints of Private Service Connect are entered there
      "roles/serviceusage.serviceUsageConsumer",
    ]
  }
  planned_first = setintersection(var.environments, ["production"])
  looking       = { plan = ["roles/iam.securityReviewer", "roles/viewer"] }

  accounts = merge({ build = { environment = null, role = "build" } }, {
    for pair in setproduct(var.environments, keys(local.roles)) : join("-", pair) => { environment = pair[0], role = pair[1] }
    }, {
    for environment in local.planned_first : "${environment}-plan" => { environment = environment, role = "plan" }
  })
  grants = merge([for key, account in local.accounts : {
    for role in lookup(merge(local.roles, local.looking), account.role, []) : "${key} ${role}" => { account = key, role = role, environment = account.environment }
  }]...)

  # The pipeline's jobs take one of these identities.
  pipeline = merge({ build = "build" }, { for environment in var.environments : environment => "${environment}-deploy" },
  { for environment in local.planned_first : "${environment}-plan" => "${environment}-plan" })
  impersonation = { for pair in setproduct(var.environments, var.administrators) :
    join(" ", pair) => { account = "${pair[0]}-deploy", member = pair[1] }
  }
  claim = { for name in ["project-id", "vcs-ref", "ssh-rerun", "context-ids"] : name => "assertion['oidc.circleci.com/${name}']" }
}

resource "google_service_account" "this" {
  for_each = local.accounts

  account_id   = "payflow-${each.key}"
  display_name = "PayFlow: ${each.value.role}${each.value.environment == null ? "" : ", ${each.value.environment}"}"
}

resource "google_project_iam_member" "this" {
  for_each = local.grants

  project = var.project_id
  role    = each.value.role
  member  = google_service_account.this[each.value.account].member

  # Environments may share a project: an account logs in to its own environment's cache only. (In PostgreSQL the users of
  # the instance do the same.)
  dynamic "condition" {
    for_each = each.value.role == "roles/memorystore.dbConnectionUser" ? [1] : []
    content {
      title      = "its own cache"
      expression = "resource.name == 'projects/${var.project_id}/locations/${var.region}/instances/payflow-${each.value.environment}'"
    }
  }
}

# deploy makes services, jobs and schedules that run as the other four.
resource "google_service_account_iam_member" "deploy_uses" {
  for_each = toset([for pair in setproduct(var.environments, ["serve", "migrate", "smoke", "schedule"]) : join("-", pair)])

  service_account_id = google_service_account.this[each.key].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this["${split("-", each.key)[0]}-deploy"].member
}

resource "google_service_account_iam_member" "administrators" {
  for_each = local.impersonation

  service_account_id = google_service_account.this[each.value.account].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.value.member
}

# --- the pipeline -----------------------------------------------------------------------------------------------------

resource "google_iam_workload_identity_pool" "circleci" {
  workload_identity_pool_id = "payflow-circleci"
  display_name              = "CircleCI"
}

# A provider an identity. Each stamps its name on the token, so the conditions of another are no way in.
resource "google_iam_workload_identity_pool_provider" "this" {
  for_each = local.pipeline

  workload_identity_pool_id          = google_iam_workload_identity_pool.circleci.workload_identity_pool_id
  workload_identity_pool_provider_id = each.key
  display_name                       = "CircleCI: ${each.key}"

  attribute_mapping = {
    # Not the token's own subject, which names user, repository and branch too: Google takes 127 bytes.
    "google.subject"     = local.claim["project-id"]
    "attribute.identity" = "'${each.key}'"
  }
  # A job that a person opened by SSH gets nothing.
  attribute_condition = join(" && ", concat([
    "${local.claim["project-id"]} == '${var.circleci.project_id}'",
    "${local.claim["vcs-ref"]} == 'refs/heads/${var.circleci.branch}'",
    "${local.claim["ssh-rerun"]} == false",
  ], each.key == "production" ? ["'${var.circleci.production_context_id}' in ${local.claim["context-ids"]}"] : []))

  oidc {
    issuer_uri        = "https://oidc.circleci.com/org/${var.circleci.organization_id}"
    allowed_audiences = [var.circleci.organization_id]
  }
}

resource "google_service_account_iam_member" "pipeline" {
  for_each = local.pipeline

  service_account_id = google_service_account.this[each.value].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.circleci.name}/attribute.identity/${each.key}"
}
