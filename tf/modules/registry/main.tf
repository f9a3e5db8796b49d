# Where images are kept, and the keys: one signs images, the other encrypts the secrets that stand in Git (SOPS).

resource "google_artifact_registry_repository" "this" {
  #checkov:skip=CKV_GCP_84:images are no secret; Google's own keys encrypt them
  repository_id = "payflow"
  location      = var.region
  format        = "DOCKER"
  description   = "PayFlow's images"
  labels        = var.labels

  docker_config {
    immutable_tags = true
  }
  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }

  # Keep wins over delete: the last 50 stay, whatever their age, so that there is always something to roll back to.
  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 50
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      tag_state  = "ANY"
      older_than = "7776000s" # 90 days
    }
  }
}

resource "google_artifact_registry_repository_iam_member" "writer" {
  repository = google_artifact_registry_repository.this.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = var.writer
}

resource "google_artifact_registry_repository_iam_member" "reader" {
  for_each = var.reader_project_numbers

  repository = google_artifact_registry_repository.this.name
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:service-${each.key}@serverless-robot-prod.iam.gserviceaccount.com"
}

resource "google_kms_key_ring" "this" {
  name     = "payflow"
  location = var.region
}

resource "google_kms_crypto_key" "signing" {
  name     = "image-signing"
  key_ring = google_kms_key_ring.this.id
  purpose  = "ASYMMETRIC_SIGN"
  labels   = var.labels

  version_template {
    algorithm        = "EC_SIGN_P256_SHA256"
    protection_level = "SOFTWARE"
  }
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "signer" {
  crypto_key_id = google_kms_crypto_key.signing.id
  role          = "roles/cloudkms.signerVerifier"
  member        = var.writer
}

resource "google_kms_crypto_key" "sops" {
  name            = "sops"
  key_ring        = google_kms_key_ring.this.id
  purpose         = "ENCRYPT_DECRYPT"
  rotation_period = "7776000s" # 90 days
  labels          = var.labels

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "secret_editors" {
  for_each = var.secret_editors

  crypto_key_id = google_kms_crypto_key.sops.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.key
}
