# What runs beside a store: a relay all the time, collection and verification by the clock. Each is one command in
# one image. All of them may be interrupted at any time, and run beside each other.

locals {
  jobs = {
    relay          = { role = "relay", command = ["relay"], when = "always" }
    gc             = { role = "maintainer", command = ["gc", "--delete", "--grace", "7d"], when = "cron(0 3 ? * SUN *)" }
    verify-headers = { role = "maintainer", command = ["verify", "--all", "--headers"], when = "cron(0 5 ? * SUN *)" }
    verify         = { role = "maintainer", command = ["verify", "--all"], when = "cron(0 5 1 * ? *)" }
    verify-feed    = { role = "maintainer", command = ["feed", "verify"], when = "cron(0 4 ? * SUN *)" }
  }
  when      = { for name, job in local.jobs : name => lookup(var.schedules, name, job.when) }
  always    = toset([for name, when in local.when : name if when == "always"])
  scheduled = { for name, when in local.when : name => when if !contains(["always", "off"], when) }
  policies  = { relay = var.relay_policy_arn, maintainer = var.maintainer_policy_arn }
}

resource "aws_ecs_cluster" "jobs" {
  name = var.name
  tags = var.tags
}

resource "aws_cloudwatch_log_group" "jobs" {
  name              = "/ropewalk/${var.name}"
  retention_in_days = var.log_days
  tags              = var.tags
}

data "aws_region" "current" {}

resource "aws_ecs_task_definition" "job" {
  for_each = local.jobs

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 512
  memory                   = 1024
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task[each.value.role].arn
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([{
    name                   = "ropewalk"
    image                  = var.image
    command                = each.value.command
    essential              = true
    readonlyRootFilesystem = true
    stopTimeout            = 60
    environment            = [{ name = "ROPEWALK_STORE", value = var.store_url }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.jobs.name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = each.key
      }
    }
  }])
}

resource "aws_ecs_service" "job" {
  for_each = local.always

  name            = each.key
  cluster         = aws_ecs_cluster.jobs.arn
  task_definition = aws_ecs_task_definition.job[each.key].arn
  launch_type     = "FARGATE"
  desired_count   = 1
  tags            = var.tags

  network_configuration {
    subnets          = var.subnets
    security_groups  = var.security_groups
    assign_public_ip = var.public_ip
  }
}

# A run that has failed is not repeated before its next time: what it has done stays done.

resource "aws_scheduler_schedule" "job" {
  for_each = local.scheduled

  name                = "${var.name}-${each.key}"
  schedule_expression = each.value

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_ecs_cluster.jobs.arn
    role_arn = aws_iam_role.scheduler.arn

    ecs_parameters {
      task_definition_arn = aws_ecs_task_definition.job[each.key].arn
      launch_type         = "FARGATE"

      network_configuration {
        subnets          = var.subnets
        security_groups  = var.security_groups
        assign_public_ip = var.public_ip
      }
    }

    retry_policy {
      maximum_retry_attempts = 0
    }
  }
}

# Exit codes other than 0 mean damage, a storage that is missing, or another failure.

resource "aws_cloudwatch_event_rule" "failed" {
  count = var.alarm_topic_arn == "" ? 0 : 1

  name        = "${var.name}-failed"
  description = "A job of the Ropewalk store has failed, or could not start."
  tags        = var.tags

  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail = {
      clusterArn = [aws_ecs_cluster.jobs.arn]
      lastStatus = ["STOPPED"]
      "$or" = [
        { containers = { exitCode = [{ anything-but = 0 }] } },
        { stopCode = ["TaskFailedToStart"] },
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "failed" {
  count = var.alarm_topic_arn == "" ? 0 : 1

  rule = aws_cloudwatch_event_rule.failed[0].name
  arn  = var.alarm_topic_arn
}
