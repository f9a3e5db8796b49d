mock_provider "google" {
  mock_resource "google_secret_manager_secret" {
    defaults = { id = "projects/payflow-test/secrets/secret" }
  }
}

variables {
  name                = "payflow-test"
  region              = "europe-west1"
  deletion_protection = true
  labels              = { environment = "test" }
  files = {
    database-ca = { content = "-----BEGIN CERTIFICATE-----", readers = ["serviceAccount:serve@payflow-test.iam.gserviceaccount.com"] }
  }
  secrets = {
    smoke-key = { readers = ["serviceAccount:smoke@payflow-test.iam.gserviceaccount.com"] }
  }
}

run "no_value_in_the_state" {
  assert {
    condition     = google_secret_manager_secret_version.file["database-ca"].secret_data == null && google_secret_manager_secret_version.file["database-ca"].secret_data_wo == null
    error_message = "a value must be write-only"
  }
  assert {
    condition     = keys(google_secret_manager_secret_version.file) == ["database-ca"] && google_secret_manager_secret_version.placeholder["smoke-key"].secret_data_wo == null
    error_message = "a secret's value comes from outside, after a placeholder"
  }
}

run "a_new_content_is_a_new_version" {
  command = plan
  variables {
    files = {
      database-ca = { content = "-----BEGIN OTHER-----", readers = ["serviceAccount:serve@payflow-test.iam.gserviceaccount.com"] }
    }
  }

  assert {
    condition     = google_secret_manager_secret_version.file["database-ca"].secret_data_wo_version != run.no_value_in_the_state.versions["database-ca"]
    error_message = "a changed content must be written"
  }
}

run "access_is_by_secret" {
  command = plan

  assert {
    condition     = toset([for reader in google_secret_manager_secret_iam_member.reader : "${reader.role} ${reader.member}"]) == toset(["roles/secretmanager.secretAccessor serviceAccount:serve@payflow-test.iam.gserviceaccount.com", "roles/secretmanager.secretAccessor serviceAccount:smoke@payflow-test.iam.gserviceaccount.com"])
    error_message = "each secret has its own readers"
  }
  assert {
    condition     = output.ids["smoke-key"] == "payflow-test-smoke-key"
    error_message = "wrong name: ${output.ids["smoke-key"]}"
  }
}

run "everybody_as_a_reader_is_refused" {
  command = plan
  variables {
    secrets = { smoke-key = { readers = ["allUsers"] } }
  }
  expect_failures = [var.secrets]
}

run "a_file_that_is_a_secret_too_is_refused" {
  command = plan
  variables {
    secrets = { database-ca = { readers = [] } }
  }
  expect_failures = [var.secrets]
}
