# What runs beside a store: a relay all the time, collection and verification by the clock. Each is one command in
# one image. All of them may be interrupted at any time, and run beside each other.

locals {
  jobs = {
    relay          = { command = ["relay"], when = "always" }
    gc             = { command = ["gc", "--delete", "--grace", "7d"], when = "0 3 * * 0" }
    verify-headers = { command = ["verify", "--all", "--headers"], when = "0 5 * * 0" }
    verify         = { command = ["verify", "--all"], when = "0 5 1 * *" }
    verify-feed    = { command = ["feed", "verify"], when = "0 4 * * 0" }
  }
  when      = { for name, job in local.jobs : name => lookup(var.schedules, name, job.when) }
  always    = toset([for name, when in local.when : name if when == "always"])
  scheduled = { for name, when in local.when : name => when if !contains(["always", "off"], when) }

  environment = {
    ROPEWALK_STORE  = var.store_url
    AZURE_CLIENT_ID = azurerm_user_assigned_identity.jobs.client_id # the SDK does not look for it
  }
}

# One identity for all jobs. It must be one of the store's maintainers: a relay deletes old maps of the feed.

resource "azurerm_user_assigned_identity" "jobs" {
  name                = var.name
  resource_group_name = var.resource_group
  location            = var.location
  tags                = var.tags
}

resource "azurerm_log_analytics_workspace" "jobs" {
  name                = var.name
  resource_group_name = var.resource_group
  location            = var.location
  retention_in_days   = var.log_days
  tags                = var.tags
}

resource "azurerm_container_app_environment" "jobs" {
  name                       = var.name
  resource_group_name        = var.resource_group
  location                   = var.location
  log_analytics_workspace_id = azurerm_log_analytics_workspace.jobs.id
  logs_destination           = "log-analytics"
  tags                       = var.tags
}

# A run that has failed is not repeated before its next time: what it has done stays done.

resource "azurerm_container_app_job" "job" {
  for_each = local.scheduled

  name                         = "${var.name}-${each.key}"
  resource_group_name          = var.resource_group
  location                     = var.location
  container_app_environment_id = azurerm_container_app_environment.jobs.id
  replica_timeout_in_seconds   = 86400
  replica_retry_limit          = 0
  tags                         = var.tags

  schedule_trigger_config {
    cron_expression = each.value
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.jobs.id]
  }

  dynamic "registry" {
    for_each = var.registry == "" ? [] : [var.registry]

    content {
      server   = registry.value
      identity = azurerm_user_assigned_identity.jobs.id
    }
  }

  template {
    container {
      name   = "ropewalk"
      image  = var.image
      args   = local.jobs[each.key].command
      cpu    = 0.5
      memory = "1Gi"

      dynamic "env" {
        for_each = local.environment

        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }
}

resource "azurerm_container_app" "job" {
  for_each = local.always

  name                         = "${var.name}-${each.key}"
  resource_group_name          = var.resource_group
  container_app_environment_id = azurerm_container_app_environment.jobs.id
  revision_mode                = "Single"
  tags                         = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.jobs.id]
  }

  dynamic "registry" {
    for_each = var.registry == "" ? [] : [var.registry]

    content {
      server   = registry.value
      identity = azurerm_user_assigned_identity.jobs.id
    }
  }

  template {
    min_replicas = 1
    max_replicas = 1

    container {
      name   = "ropewalk"
      image  = var.image
      args   = local.jobs[each.key].command
      cpu    = 0.25
      memory = "0.5Gi"

      dynamic "env" {
        for_each = local.environment

        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }
}
