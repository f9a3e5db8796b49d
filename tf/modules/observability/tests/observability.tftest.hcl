mock_provider "google" {
  mock_resource "google_logging_project_bucket_config" {
    defaults = { id = "projects/payflow-test/locations/europe-west1/buckets/payflow-staging" }
  }
  mock_resource "google_monitoring_notification_channel" {
    defaults = { id = "projects/payflow-test/notificationChannels/1" }
  }
}

variables {
  project_id          = "payflow-test"
  region              = "europe-west1"
  environment         = "staging"
  service_name        = "payflow-staging"
  notification_emails = ["oncall@example.com"]
  critical_channels   = ["projects/payflow-test/notificationChannels/42"]
  uptime_host         = "api.staging.example.com"
  alerts_dir          = "../../../alerts"
  log_retention_days  = 30
  billing_account     = "012345-6789AB-CDEF01"
  project_number      = "123456789012"
  budget_amount       = 300
  labels              = { environment = "staging" }
}

run "the_briefs_five" {
  command = plan

  assert {
    condition = {
      for name in ["HighErrorRate", "HighLatency", "PodCrashLooping", "DiskSpaceLow", "CertificateExpiring"] :
      name => google_monitoring_alert_policy.this[name].severity
      } == {
      HighErrorRate = "CRITICAL", HighLatency = "WARNING", PodCrashLooping = "CRITICAL", DiskSpaceLow = "WARNING", CertificateExpiring = "WARNING"
    }
    error_message = "the five alerts with their severities"
  }
  assert {
    condition     = length([for key, policy in google_monitoring_alert_policy.this : key if endswith(policy.conditions[0].condition_prometheus_query_language[0].alert_rule, "BudgetBurn")]) == 8
    error_message = "four burn rates of each objective"
  }
}

run "placeholders_are_filled_in" {
  command = plan

  assert {
    condition = alltrue([for policy in google_monitoring_alert_policy.this :
      !can(regex("\"payflow(-(migrate|prune|verify)|.example)?\"|\"project:|user_payflow_backups", policy.conditions[0].condition_prometheus_query_language[0].query))
    ])
    error_message = "a placeholder was left in a query"
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.this["DiskSpaceLow"].conditions[0].condition_prometheus_query_language[0].query, "database_id=\"payflow-test:payflow-staging\"")
    error_message = "the database of this environment"
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.this["BackupTooOld"].conditions[0].condition_prometheus_query_language[0].query, "user_payflow_staging_backups{") && google_logging_metric.backups.name == "payflow-staging/backups"
    error_message = "the log-based metric is named in PromQL as it is made"
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.this["JobFailed"].conditions[0].condition_prometheus_query_language[0].query, "job_name=~\"payflow-staging-(migrate|prune)\"")
    error_message = "the jobs of this environment"
  }
  assert {
    condition     = strcontains(google_monitoring_dashboard.this.dashboard_json, "namespace=\\\"payflow-staging\\\"") && !strcontains(google_monitoring_dashboard.this.dashboard_json, "\\\"payflow\\\"")
    error_message = "the dashboard shows this environment"
  }
}

run "whom_it_calls_and_with_what" {
  assert {
    condition     = google_monitoring_alert_policy.this["HighErrorRate"].notification_channels == tolist(["projects/payflow-test/notificationChannels/1", "projects/payflow-test/notificationChannels/42"])
    error_message = "critical alerts wake somebody"
  }
  assert {
    condition     = google_monitoring_alert_policy.this["HighLatency"].notification_channels == tolist(["projects/payflow-test/notificationChannels/1"])
    error_message = "warnings wake nobody"
  }
  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.this : strcontains(policy.documentation[0].content, "## Mitigation") && length(policy.documentation[0].content) < 8192])
    error_message = "the runbook's page comes with the call, and fits (8192 characters)"
  }
  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.this : can(regex("^[0-9]+s$", policy.conditions[0].condition_prometheus_query_language[0].duration)) && contains(["60s", "300s"], policy.conditions[0].condition_prometheus_query_language[0].evaluation_interval)])
    error_message = "durations are in seconds, evaluation intervals multiples of 30 s"
  }
}

run "logs_are_kept_once_and_as_long_as_said" {
  assert {
    condition     = google_logging_project_bucket_config.this.retention_days == 30 && google_logging_project_sink.this.destination == "logging.googleapis.com/projects/payflow-test/locations/europe-west1/buckets/payflow-staging"
    error_message = "the logs go to the bucket with the retention"
  }
  assert {
    condition     = google_logging_project_exclusion.this.filter == google_logging_project_sink.this.filter
    error_message = "what goes to the bucket is kept out of the default one"
  }
}

run "a_budget" {
  command = plan

  assert {
    condition     = google_billing_budget.this[0].amount[0].specified_amount[0].units == "300" && google_billing_budget.this[0].budget_filter[0].projects == toset(["projects/123456789012"])
    error_message = "the budget is for this project"
  }
  assert {
    condition     = length(google_billing_budget.this[0].threshold_rules) == 4
    error_message = "notices at 50, 90 and 100 %, and at a forecast of 110 %"
  }
}

run "without_host_and_billing_account" {
  command = plan
  variables {
    uptime_host     = null
    billing_account = null
  }

  assert {
    condition     = length(google_billing_budget.this) == 0 && length(google_monitoring_uptime_check_config.this) == 0 && !contains(keys(google_monitoring_alert_policy.this), "CertificateExpiring")
    error_message = "no host: no uptime check and no alert on it"
  }
  assert {
    condition     = contains(keys(google_monitoring_alert_policy.this), "HighErrorRate")
    error_message = "the other alerts stay"
  }
}

run "no_receiver_is_refused" {
  command = plan
  variables {
    notification_emails = []
  }
  expect_failures = [var.notification_emails]
}

run "short_logs_in_production_are_refused" {
  command = plan
  variables {
    environment = "production"
  }
  expect_failures = [var.log_retention_days]
}

run "no_rules_are_refused" {
  command = plan
  variables {
    alerts_dir = "."
  }
  expect_failures = [var.alerts_dir]
}

run "a_url_as_host_is_refused" {
  command = plan
  variables {
    uptime_host = "https://api.example.com"
  }
  expect_failures = [var.uptime_host]
}

run "a_channels_name_instead_of_its_id_is_refused" {
  command = plan
  variables {
    critical_channels = ["pagerduty"]
  }
  expect_failures = [var.critical_channels]
}
