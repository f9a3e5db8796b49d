mock_provider "google" {
  mock_resource "google_cloud_run_v2_service" {
    defaults = { uri = "https://payflow-test-abc-ew.a.run.app" }
  }
}

variables {
  project_id          = "payflow-test"
  name                = "payflow-test"
  environment         = "production"
  region              = "europe-west1"
  image               = "europe-west1-docker.pkg.dev/payflow-test/payflow/payflow@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  smoke_key_secret    = "payflow-test-smoke-key"
  monitoring_secret   = "payflow-test-monitoring"
  public_directly     = false
  instances           = { min = 2, max = 10 }
  deletion_protection = true
  labels              = { environment = "test" }
  accounts = {
    serve    = "serve@payflow-test.iam.gserviceaccount.com"
    migrate  = "migrate@payflow-test.iam.gserviceaccount.com"
    smoke    = "smoke@payflow-test.iam.gserviceaccount.com"
    schedule = "schedule@payflow-test.iam.gserviceaccount.com"
  }
  network = { id = "net", subnet_id = "subnet" }
  database = {
    host            = "0123.abc.europe-west1.sql.goog"
    database        = "payflow"
    users           = { serve = "serve@payflow-test.iam", migrate = "migrate@payflow-test.iam" }
    max_connections = 200
    ca_secret       = "payflow-test-database-ca"
  }
  cache = { url = "rediss://10.10.1.7:6379", ca_secret = "payflow-test-cache-ca" }
}

run "one_number_is_concurrency" {
  command = plan
  variables {
    concurrency = 200
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].max_instance_request_concurrency == 200 && one([for env in google_cloud_run_v2_service.this.template[0].containers[0].env : env.value if env.name == "MAX_CONCURRENCY"]) == "200"
    error_message = "Cloud Run and PayFlow must have the same limit"
  }
}

run "only_the_load_balancer_comes_in" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.this.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    error_message = "the internet must not reach the service directly"
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].vpc_access[0].egress == "ALL_TRAFFIC"
    error_message = "everything that goes out passes the firewall"
  }
}

run "probes_touch_no_dependency" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].startup_probe[0].http_get[0].path == "/health" && google_cloud_run_v2_service.this.template[0].containers[0].liveness_probe[0].http_get[0].path == "/health"
    error_message = "a database that is away must not kill instances"
  }
  assert {
    condition     = alltrue([for container in google_cloud_run_v2_service.this.template[0].containers : container.resources[0].cpu_idle == false])
    error_message = "threads and the sidecar work between requests: CPU is always allocated"
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].scaling[0].min_instance_count == 2 && google_cloud_run_v2_service.this.template[0].scaling[0].max_instance_count == 10
    error_message = "two to ten instances"
  }
}

run "the_sidecar_scrapes_the_port_that_serves" {
  command = plan

  assert {
    condition     = yamldecode(file("monitoring.yaml")).spec.endpoints[0].port == google_cloud_run_v2_service.this.template[0].containers[0].ports[0].container_port
    error_message = "monitoring.yaml names another port"
  }
  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[1].depends_on == tolist(["payflow"]) && google_cloud_run_v2_service.this.template[0].containers[1].volume_mounts[0].mount_path == "/etc/rungmp"
    error_message = "the sidecar starts after PayFlow, with its settings"
  }
}

run "tls_is_verified_and_nobody_has_a_password" {
  command = plan

  assert {
    condition     = { for env in google_cloud_run_v2_service.this.template[0].containers[0].env : env.name => env.value if contains(["DB_SSLMODE", "DB_IAM", "REDIS_IAM", "PAYFLOW_AUTH"], env.name) } == { DB_SSLMODE = "verify-full", DB_IAM = "on", REDIS_IAM = "on", PAYFLOW_AUTH = "on" }
    error_message = "log-in is by token over verified TLS"
  }
  assert {
    condition     = alltrue([for env in google_cloud_run_v2_service.this.template[0].containers[0].env : !can(regex("PASSWORD|DATABASE_URL", env.name))])
    error_message = "there is no password to hand over"
  }
}

run "jobs_have_their_own_user" {
  assert {
    condition     = keys(google_cloud_run_v2_job.this) == ["migrate", "prune", "smoke", "verify"]
    error_message = "four jobs"
  }
  assert {
    condition     = one([for env in google_cloud_run_v2_job.this["migrate"].template[0].template[0].containers[0].env : env.value if env.name == "DB_USER"]) == "migrate@payflow-test.iam" && google_cloud_run_v2_job.this["migrate"].template[0].template[0].service_account == "migrate@payflow-test.iam.gserviceaccount.com"
    error_message = "migrate owns the schema"
  }
  assert {
    condition     = toset([for name in ["migrate", "prune", "verify"] : google_cloud_run_v2_job.this[name].template[0].template[0].service_account]) == toset(["migrate@payflow-test.iam.gserviceaccount.com"])
    error_message = "the service's own account deletes nothing, so prune is not it"
  }
  assert {
    condition     = length([for env in google_cloud_run_v2_job.this["smoke"].template[0].template[0].containers[0].env : env if startswith(env.name, "DB_")]) == 0 && one([for env in google_cloud_run_v2_job.this["smoke"].template[0].template[0].containers[0].env : env.value if env.name == "SMOKE_URL"]) == "https://payflow-test-abc-ew.a.run.app"
    error_message = "smoke asks the service, not the database"
  }
  assert {
    condition     = keys(google_cloud_scheduler_job.this) == ["prune", "smoke", "verify"] && endswith(google_cloud_scheduler_job.this["prune"].http_target[0].uri, "/jobs/payflow-test-prune:run")
    error_message = "prune, verify and smoke have schedules"
  }
  assert {
    condition     = output.connections.most == 7 * 10 * 2 + 3 && output.connections.allowed == 190
    error_message = "connections are counted wrong"
  }
}

run "a_pool_that_outgrows_the_database_is_refused" {
  command = plan
  variables {
    instances = { min = 2, max = 14 }
  }
  expect_failures = [var.pool]
}

run "the_largest_pool_that_fits_is_taken" {
  command = plan
  variables {
    instances = { min = 2, max = 13 }
  }
}

run "one_instance_in_production_is_refused" {
  command = plan
  variables {
    instances = { min = 1, max = 10 }
  }
  expect_failures = [var.instances]
}

run "too_low_a_maximum_is_refused" {
  command = plan
  variables {
    instances = { min = 2, max = 1 }
  }
  expect_failures = [var.instances]
}

run "a_public_address_in_production_is_refused" {
  command = plan
  variables {
    public_directly = true
  }
  expect_failures = [var.public_directly]
}

run "latest_is_refused" {
  command = plan
  variables {
    image = "europe-west1-docker.pkg.dev/payflow-test/payflow/payflow:latest"
  }
  expect_failures = [var.image]
}

run "no_tag_is_refused" {
  command = plan
  variables {
    image = "europe-west1-docker.pkg.dev/payflow-test/payflow/payflow"
  }
  expect_failures = [var.image]
}

run "a_schedule_for_migrate_is_refused" {
  command = plan
  variables {
    schedules = { migrate = "0 0 * * *" }
  }
  expect_failures = [var.schedules]
}

# A rollout changes the image; an apply must not bring the first one back.
run "an_apply_leaves_the_image_alone" {
  variables {
    image = "europe-west1-docker.pkg.dev/payflow-test/payflow/payflow:other"
  }

  assert {
    condition     = endswith(google_cloud_run_v2_service.this.template[0].containers[0].image, "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
    error_message = "the image belongs to the pipeline, not to an apply"
  }
  assert {
    condition     = alltrue([for job in google_cloud_run_v2_job.this : strcontains(job.template[0].template[0].containers[0].image, "@sha256:")])
    error_message = "so do the jobs' images"
  }
}
