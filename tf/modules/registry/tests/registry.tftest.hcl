mock_provider "google" {}

variables {
  project_id             = "payflow-test"
  region                 = "europe-west1"
  writer                 = "serviceAccount:payflow-build@payflow-test.iam.gserviceaccount.com"
  reader_project_numbers = ["123456789012"]
  secret_editors         = ["group:payflow@example.com"]
  labels                 = { environment = "shared" }
}

run "a_tag_never_moves" {
  command = plan

  assert {
    condition     = google_artifact_registry_repository.this.docker_config[0].immutable_tags
    error_message = "tags must be immutable"
  }
  assert {
    condition     = toset([for policy in google_artifact_registry_repository.this.cleanup_policies : policy.action]) == toset(["KEEP", "DELETE"])
    error_message = "old images go, recent ones stay"
  }
}

run "only_the_builder_pushes_and_signs" {
  command = plan

  assert {
    condition     = google_artifact_registry_repository_iam_member.writer.member == var.writer && google_kms_crypto_key_iam_member.signer.member == var.writer
    error_message = "the writer pushes and signs"
  }
  assert {
    condition     = google_kms_crypto_key.signing.purpose == "ASYMMETRIC_SIGN" && google_kms_crypto_key.sops.rotation_period == "7776000s"
    error_message = "one key signs, the other encrypts and rotates"
  }
  assert {
    condition     = google_artifact_registry_repository_iam_member.reader["123456789012"].member == "serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com"
    error_message = "another project's Cloud Run must be able to pull"
  }
}

# A plan: two keys here refuse to be destroyed, which an apply would try in the end.
run "outputs" {
  command = plan

  assert {
    condition     = output.url == "europe-west1-docker.pkg.dev/payflow-test/payflow"
    error_message = "wrong address: ${output.url}"
  }
}

run "a_project_id_as_a_number_is_refused" {
  command = plan
  variables {
    reader_project_numbers = ["payflow-production"]
  }
  expect_failures = [var.reader_project_numbers]
}
