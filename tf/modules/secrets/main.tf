# Secret Manager. `files` are what a container needs as a file (authorities, the sidecar's settings): not secret, written
# here, and write-only all the same, so that no value is ever in the state. `secrets` get no value here but a
# placeholder: theirs comes from outside, by scripts/cloud_secret.sh, and Terraform never sees it.

locals {
  all = merge(
    { for name, file in var.files : name => file.readers },
    { for name, secret in var.secrets : name => secret.readers },
  )
  # A person's or the pipeline's right to read one secret.
  readers = merge([for name, members in local.all : { for member in members : "${name} ${member}" => { name = name, member = member } }]...)
}

resource "google_secret_manager_secret" "this" {
  for_each = local.all

  secret_id           = "${var.name}-${each.key}"
  labels              = var.labels
  deletion_protection = var.deletion_protection
  # An old version can be brought back for a week: destroying one is how a rotation goes wrong.
  version_destroy_ttl = "604800s"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}

resource "google_secret_manager_secret_version" "file" {
  for_each = var.files

  secret         = google_secret_manager_secret.this[each.key].id
  secret_data_wo = each.value.content
  # A number that changes with the content, since Terraform keeps nothing of the content to compare it with.
  secret_data_wo_version = parseint(substr(sha256(nonsensitive(each.value.content)), 0, 12), 16)
  deletion_policy        = "DISABLE"

  lifecycle {
    # The old version stays readable until the new one is there: a running revision may just be starting an instance.
    create_before_destroy = true
  }
}

# "latest" must lead somewhere before Cloud Run accepts a job that mentions it. The value that comes from outside is the
# next version; this one stays behind it.
resource "google_secret_manager_secret_version" "placeholder" {
  for_each = var.secrets

  secret                 = google_secret_manager_secret.this[each.key].id
  secret_data_wo         = "not set yet: scripts/cloud_secret.sh"
  secret_data_wo_version = 1
  deletion_policy        = "ABANDON"

  lifecycle {
    # Disabling or destroying it by hand is nobody's loss.
    ignore_changes = [enabled]
  }
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.readers

  secret_id = google_secret_manager_secret.this[each.value.name].id
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value.member
}
