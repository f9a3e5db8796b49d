mock_provider "google" {}

variables {
  project_id     = "payflow-test"
  administrators = ["group:payflow@example.com"]
  circleci = {
    organization_id       = "11111111-2222-3333-4444-555555555555"
    project_id            = "66666666-7777-8888-9999-aaaaaaaaaaaa"
    production_context_id = "bbbbbbbb-cccc-dddd-eeee-ffffffffffff"
  }
}

run "the_state_is_kept" {
  command = plan

  assert {
    condition     = google_storage_bucket.state.versioning[0].enabled && google_storage_bucket.state.public_access_prevention == "enforced" && google_storage_bucket.state.uniform_bucket_level_access
    error_message = "the state must have versions and be nobody else's"
  }
  assert {
    condition     = output.state_bucket == "payflow-test-payflow-state" && output.registry == "europe-west1-docker.pkg.dev/payflow-test/payflow"
    error_message = "wrong outputs"
  }
}

run "an_environment_writes_its_own_state" {
  command = plan

  assert {
    condition     = alltrue([for key, member in google_storage_bucket_iam_member.state : strcontains(one(member.condition).expression, "/objects/${split("-", key)[0]}/") if endswith(key, " objects")])
    error_message = "staging must not write production's state"
  }
  assert {
    condition     = { for key, member in google_storage_bucket_iam_member.state : key => member.role if endswith(key, " objects") } == { "development-deploy objects" = "roles/storage.objectUser", "staging-deploy objects" = "roles/storage.objectUser", "production-deploy objects" = "roles/storage.objectUser", "production-plan objects" = "roles/storage.objectViewer" }
    error_message = "who deploys writes the state, who plans production reads it"
  }
}

run "every_api_that_is_used" {
  command = plan

  assert {
    condition     = alltrue([for api in ["run", "sqladmin", "memorystore", "secretmanager", "compute", "networkconnectivity"] : contains(keys(google_project_service.this), api)])
    error_message = "an API is missing"
  }
}
