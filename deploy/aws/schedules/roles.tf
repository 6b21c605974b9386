locals {
  assumed_by = { for service in ["ecs-tasks", "scheduler"] : service => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "${service}.amazonaws.com" }
    }]
  }) }
}

# What the command may do: what "ropewalk init --print-policy" prints, and nothing else.

resource "aws_iam_role" "task" {
  for_each = local.policies

  name               = "${var.name}-${each.key}-task"
  assume_role_policy = local.assumed_by["ecs-tasks"]
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "task" {
  for_each = local.policies

  role       = aws_iam_role.task[each.key].name
  policy_arn = each.value
}

# What ECS may do for it: pull the image and write the log.

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = local.assumed_by["ecs-tasks"]
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

# What the schedules may do: start these tasks, under these roles.

resource "aws_iam_role" "scheduler" {
  name               = "${var.name}-scheduler"
  assume_role_policy = local.assumed_by["scheduler"]
  tags               = var.tags
}

resource "aws_iam_role_policy" "scheduler" {
  name = "run-jobs"
  role = aws_iam_role.scheduler.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "ecs:RunTask"
        Resource  = [for job in aws_ecs_task_definition.job : job.arn]
        Condition = { ArnEquals = { "ecs:cluster" = aws_ecs_cluster.jobs.arn } }
      },
      {
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = concat([aws_iam_role.execution.arn], [for role in aws_iam_role.task : role.arn])
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
    ]
  })
}
