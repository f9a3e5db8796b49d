# CircleCI's ids: Organization Settings > Overview, Project Settings > Overview, Organization Settings > Contexts.
# None is a secret. The zeros let nobody in: replace them.
circleci = {
  organization_id       = "00000000-0000-0000-0000-000000000000"
  project_id            = "00000000-0000-0000-0000-000000000000"
  production_context_id = "00000000-0000-0000-0000-000000000000"
}
