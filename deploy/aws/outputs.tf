output "store_url" {
  description = "The store, for ropewalk --store or ROPEWALK_STORE."
  value       = "aws://${aws_s3_bucket.changesets.id}/${var.prefix}?table=${aws_dynamodb_table.heads.name}&region=${aws_s3_bucket.changesets.region}${var.packed ? "&format=packed" : ""}"
}

output "writer_policy_arn" {
  description = "For who appends, settles and reads."
  value       = aws_iam_policy.role["writer"].arn
}

output "reader_policy_arn" {
  description = "For who reads."
  value       = aws_iam_policy.role["reader"].arn
}

output "maintainer_policy_arn" {
  description = "For who checks, lists, verifies and deletes orphans."
  value       = aws_iam_policy.role["maintainer"].arn
}

output "relay_policy_arn" {
  description = "For who runs a relay of the feed."
  value       = aws_iam_policy.role["relay"].arn
}

output "subscriber_policy_arn" {
  description = "For who runs subscriptions to the feed."
  value       = aws_iam_policy.role["subscriber"].arn
}
