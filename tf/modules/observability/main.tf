# What watches the service: alert policies made of the very files that the local Prometheus loads, the uptime check, the
# dashboard, the logs' bucket and retention, metrics that are counted from logs, and a budget.

locals {
  instance = coalesce(var.database_instance, var.service_name)
  # The placeholders of alerts/ and dashboards/, in the order in which they are filled in (alerts/README.md).
  placeholders = [
    ["\"payflow-", "\"${var.service_name}-"],
    ["\"payflow\"", "\"${var.service_name}\""],
    ["\"project:payflow\"", "\"${var.project_id}:${local.instance}\""],
    ["\"payflow.example\"", "\"${coalesce(var.uptime_host, "none")}\""],
    ["user_payflow_", "user_${replace(var.service_name, "-", "_")}_"],
  ]

  rules = flatten([for file in fileset(var.alerts_dir, "*.yml") : [
    for group in yamldecode(file("${var.alerts_dir}/${file}")).groups : [
      for rule in group.rules : merge(rule, { group = group.name, interval = lookup(group, "interval", "1m") })
    ]
  ]])
  # Alerts of one name are told apart by their window.
  policies = { for rule in local.rules :
    trimspace("${rule.alert} ${lookup(rule.labels, "window", "")}") => rule
    if var.uptime_host != null || !strcontains(rule.expr, "payflow.example")
  }
  queries = { for key, rule in local.policies : key =>
    replace(replace(replace(replace(replace(trimspace(rule.expr),
      local.placeholders[0][0], local.placeholders[0][1]),
      local.placeholders[1][0], local.placeholders[1][1]),
      local.placeholders[2][0], local.placeholders[2][1]),
      local.placeholders[3][0], local.placeholders[3][1]),
    local.placeholders[4][0], local.placeholders[4][1])
  }
  unit_seconds = { s = 1, m = 60, h = 3600 }
  seconds = { for text in toset(concat(["0s"], local.rules[*].interval, [for rule in local.rules : lookup(rule, "for", "0s")])) :
    text => tonumber(regex("^[0-9]+", text)) * local.unit_seconds[regex("[smh]$", text)]
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each = var.notification_emails

  display_name = "PayFlow ${var.environment}: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }
  user_labels  = var.labels
}

resource "google_monitoring_alert_policy" "this" {
  for_each = local.policies

  display_name = "${var.service_name}: ${each.key}"
  combiner     = "OR"
  severity     = upper(each.value.labels.severity)
  user_labels  = merge(var.labels, { alert = lower(each.value.alert), severity = each.value.labels.severity })
  notification_channels = concat(
    values(google_monitoring_notification_channel.email)[*].id,
    each.value.labels.severity == "critical" ? var.critical_channels : [],
  )

  conditions {
    display_name = "${each.value.group}/${each.key}"

    condition_prometheus_query_language {
      query               = local.queries[each.key]
      duration            = "${local.seconds[lookup(each.value, "for", "0s")]}s"
      evaluation_interval = "${local.seconds[each.value.interval]}s"
      rule_group          = each.value.group
      alert_rule          = each.value.alert
      # Before the first traffic no series exists, and a query of one would be refused.
      disable_metric_validation = true
    }
  }

  # The page itself comes with the call: at three in the morning nobody should look for it.
  documentation {
    subject   = "${each.value.annotations.summary} (${var.environment})"
    mime_type = "text/markdown"
    content   = "${trimspace(each.value.annotations.description)}\n\n${file("${var.alerts_dir}/../${each.value.annotations.runbook}")}"
  }

  alert_strategy {
    auto_close           = "1800s"
    notification_prompts = ["OPENED", "CLOSED"]
  }
}

resource "google_monitoring_uptime_check_config" "this" {
  count = var.uptime_host == null ? 0 : 1

  display_name = "${var.service_name}: /health"
  period       = "60s"
  timeout      = "10s"
  user_labels  = var.labels

  http_check {
    path         = "/health"
    port         = 443
    use_ssl      = true
    validate_ssl = true
  }

  content_matchers {
    content = "healthy"
  }

  monitored_resource {
    type   = "uptime_url"
    labels = { project_id = var.project_id, host = var.uptime_host }
  }
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = replace(replace(replace(
    file("${var.alerts_dir}/../dashboards/cloud-monitoring/payflow.json"),
    "\\\"payflow\\\"", "\\\"${var.service_name}\\\""),
    "\\\"project:payflow\\\"", "\\\"${var.project_id}:${local.instance}\\\""),
  "\"displayName\": \"PayFlow\"", "\"displayName\": \"PayFlow ${var.environment}\"")
}

# --- logs -------------------------------------------------------------------------------------------------------------

locals {
  log_filter = join(" OR ", [
    "(resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.service_name}\")",
    "(resource.type=\"cloud_run_job\" AND resource.labels.job_name=~\"^${var.service_name}-\")",
    "(resource.type=\"cloudsql_database\" AND resource.labels.database_id=\"${var.project_id}:${local.instance}\")",
    "(resource.type=\"http_load_balancer\" AND resource.labels.url_map_name=~\"^${var.service_name}\")",
  ])
}

# Google's required bucket keeps audit logs 400 days whatever is set here.
resource "google_logging_project_bucket_config" "this" {
  project        = var.project_id
  location       = var.region
  bucket_id      = var.service_name
  retention_days = var.log_retention_days
  description    = "Logs of PayFlow, ${var.environment}"

  index_configs {
    field_path = "jsonPayload.request_id"
    type       = "INDEX_TYPE_STRING"
  }
}

resource "google_logging_project_sink" "this" {
  name                   = var.service_name
  description            = "PayFlow's logs to the bucket with their retention"
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.this.id}"
  filter                 = local.log_filter
  unique_writer_identity = true
}

# They would be kept, and paid for, a second time.
resource "google_logging_project_exclusion" "this" {
  name        = var.service_name
  description = "PayFlow's logs are in a bucket of their own"
  filter      = local.log_filter
  depends_on  = [google_logging_project_sink.this]
}

resource "google_logging_metric" "backups" {
  name        = "${var.service_name}/backups"
  description = "Automatic backups that Cloud SQL finished"
  filter = join(" AND ", [
    "logName=\"projects/${var.project_id}/logs/cloudaudit.googleapis.com%2Fsystem_event\"",
    "protoPayload.methodName=\"cloudsql.instances.automatedBackup\"",
    "resource.type=\"cloudsql_database\"",
    "resource.labels.database_id=\"${var.project_id}:${local.instance}\"",
    "severity<ERROR",
  ])

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }
}

resource "google_logging_metric" "errors" {
  name        = "${var.service_name}/errors"
  description = "The service's log lines of level ERROR and above, by event"
  filter      = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.service_name}\" AND severity>=ERROR"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    labels {
      key         = "event"
      value_type  = "STRING"
      description = "The line's event"
    }
  }
  label_extractors = { event = "EXTRACT(jsonPayload.event)" }
}

# --- money ------------------------------------------------------------------------------------------------------------

resource "google_billing_budget" "this" {
  count = var.billing_account == null ? 0 : 1

  billing_account = var.billing_account
  display_name    = "PayFlow ${var.environment}"

  amount {
    specified_amount {
      units = tostring(var.budget_amount)
    }
  }

  budget_filter {
    projects        = var.project_number == null ? null : ["projects/${var.project_number}"]
    calendar_period = "MONTH"
    # Environments may share a project; what carries no label counts for none of them.
    labels = { environment = var.environment }
  }

  dynamic "threshold_rules" {
    for_each = { "0.5" = "CURRENT_SPEND", "0.9" = "CURRENT_SPEND", "1.0" = "CURRENT_SPEND", "1.1" = "FORECASTED_SPEND" }
    content {
      threshold_percent = tonumber(threshold_rules.key)
      spend_basis       = threshold_rules.value
    }
  }

  all_updates_rule {
    # A budget takes five channels at most.
    monitoring_notification_channels = slice(sort(values(google_monitoring_notification_channel.email)[*].id), 0, min(5, length(var.notification_emails)))
    disable_default_iam_recipients   = false
  }
}
