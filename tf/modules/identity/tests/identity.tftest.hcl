# What the cloud would fill in looks like what it fills in: the provider checks it where it is used.
mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = {
      name   = "projects/payflow-test/serviceAccounts/account@payflow-test.iam.gserviceaccount.com"
      email  = "account@payflow-test.iam.gserviceaccount.com"
      member = "serviceAccount:account@payflow-test.iam.gserviceaccount.com"
    }
  }
  mock_resource "google_iam_workload_identity_pool" {
    defaults = { name = "projects/123/locations/global/workloadIdentityPools/payflow-circleci" }
  }
}

variables {
  project_id     = "payflow-test"
  region         = "europe-west1"
  environments   = ["staging", "production"]
  administrators = ["group:payflow@example.com"]
  circleci = {
    organization_id       = "11111111-2222-3333-4444-555555555555"
    project_id            = "66666666-7777-8888-9999-aaaaaaaaaaaa"
    production_context_id = "bbbbbbbb-cccc-dddd-eeee-ffffffffffff"
  }
}

run "an_account_a_task" {
  command = plan

  assert {
    condition     = toset(keys(google_service_account.this)) == toset(concat(["build", "production-plan"], [for pair in setproduct(["staging", "production"], ["serve", "migrate", "smoke", "schedule", "deploy"]) : join("-", pair)]))
    error_message = "each environment has five accounts, production one that plans, and build is shared"
  }
  assert {
    condition     = alltrue([for account in google_service_account.this : length(account.account_id) <= 30])
    error_message = "an account's id has at most 30 characters"
  }
}

run "least_privilege" {
  command = plan

  assert {
    condition     = length([for grant in google_project_iam_member.this : grant if can(regex("(owner|editor|projectIamAdmin|securityAdmin|serviceAccountAdmin|serviceAccountKeyAdmin)$", grant.role)) && !contains(["roles/compute.securityAdmin", "roles/servicedirectory.editor", "roles/monitoring.editor"], grant.role)]) == 0
    error_message = "nobody may give rights in the project, make accounts or make keys"
  }
  assert {
    condition     = toset([for key, grant in google_project_iam_member.this : grant.role if startswith(key, "production-serve ")]) == toset(["roles/logging.logWriter", "roles/monitoring.metricWriter", "roles/cloudsql.instanceUser", "roles/memorystore.dbConnectionUser"])
    error_message = "serving needs its logs, its metrics and its two data services"
  }
  assert {
    condition     = strcontains(one(google_project_iam_member.this["production-serve roles/memorystore.dbConnectionUser"].condition).expression, "instances/payflow-production'")
    error_message = "an account logs in to its own environment's cache only"
  }
  assert {
    condition     = toset([for key, grant in google_project_iam_member.this : grant.role if startswith(key, "production-plan ")]) == toset(["roles/iam.securityReviewer", "roles/viewer"])
    error_message = "what plans production can only look"
  }
  assert {
    condition     = length([for key, grant in google_project_iam_member.this : key if startswith(key, "production-schedule ") || startswith(key, "build ")]) == 0
    error_message = "schedule and build have no rights in the whole project"
  }
}

run "the_pipeline_is_bound" {
  assert {
    condition = google_iam_workload_identity_pool_provider.this["staging"].attribute_condition == join(" && ", [
      "assertion['oidc.circleci.com/project-id'] == '66666666-7777-8888-9999-aaaaaaaaaaaa'",
      "assertion['oidc.circleci.com/vcs-ref'] == 'refs/heads/main'",
      "assertion['oidc.circleci.com/ssh-rerun'] == false",
    ])
    error_message = "staging's tokens come from the project's main branch and from no SSH re-run"
  }
  assert {
    condition     = alltrue([for provider in google_iam_workload_identity_pool_provider.this : provider.attribute_mapping["google.subject"] == "assertion['oidc.circleci.com/project-id']"])
    error_message = "the subject is short: CircleCI's own (org, project, user, origin, ref) is longer than the 127 bytes that Google takes"
  }
  assert {
    condition     = endswith(google_iam_workload_identity_pool_provider.this["production"].attribute_condition, " && 'bbbbbbbb-cccc-dddd-eeee-ffffffffffff' in assertion['oidc.circleci.com/context-ids']")
    error_message = "production also needs its context"
  }
  assert {
    condition     = alltrue([for provider in google_iam_workload_identity_pool_provider.this : provider.oidc[0].issuer_uri == "https://oidc.circleci.com/org/11111111-2222-3333-4444-555555555555" && provider.oidc[0].allowed_audiences == tolist(["11111111-2222-3333-4444-555555555555"])])
    error_message = "tokens come from the organisation and are made for it"
  }
  assert {
    condition     = google_service_account_iam_member.pipeline["production"].member == "principalSet://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/payflow-circleci/attribute.identity/production"
    error_message = "only production's provider leads to production's account"
  }
  assert {
    condition     = keys(google_service_account_iam_member.administrators) == ["production group:payflow@example.com", "staging group:payflow@example.com"]
    error_message = "administrators act as deploy, and as nobody else"
  }
}

run "a_name_instead_of_an_id_is_refused" {
  command = plan
  variables {
    circleci = {
      organization_id       = "acme"
      project_id            = "66666666-7777-8888-9999-aaaaaaaaaaaa"
      production_context_id = "bbbbbbbb-cccc-dddd-eeee-ffffffffffff"
    }
  }
  expect_failures = [var.circleci]
}

run "everybody_as_administrator_is_refused" {
  command = plan
  variables {
    administrators = ["allUsers"]
  }
  expect_failures = [var.administrators]
}

run "an_unknown_environment_is_refused" {
  command = plan
  variables {
    environments = ["qa"]
  }
  expect_failures = [var.environments]
}
