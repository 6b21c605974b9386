output "principal_id" {
  description = "The identity of the jobs, for maintainers of the store's module."
  value       = azurerm_user_assigned_identity.jobs.principal_id
}
